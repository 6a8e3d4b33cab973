"""The variables that a server sees. Pure."""

from __future__ import annotations

from typing import Final

from shared import image
from shared.endpoint import Endpoint, Model

SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

ML_FOLDERS: Final = {
    "MODEL": image.CODE["proximl"],
    "DATA": "/opt/ml/input",
    "OUTPUT": "/opt/ml/output",
    "CHECKPOINT": "/opt/ml/checkpoint",
}
ML_PREFIXES: Final = ("ML", "TRAINML", "PROXIML")

SOURCES: Final = f"{image.CODE['hydrosphere']}/src"
"""Where a model's own modules are, in whatever runtime."""

OWN_BIN: Final = "/slipway/bin"
"""Last on PATH: what people call `python` where their base image calls it something else."""

UNSAFE: Final = ("LD_PRELOAD", "LD_AUDIT")
"""Never set: tools of the machine that start a container have obeyed these of an image."""
DROPPED: Final = ("LD_", "NVIDIA_", "CUDA_VISIBLE_DEVICES")
"""Of a base's variables: which GPUs and libraries there are is for the platform to say."""


def inherited(base: image.ContainerConfig) -> dict[str, str]:
    """A base image's variables, without those that are not for it to say."""
    found = dict(entry.partition("=")[::2] for entry in base.env)
    return {name: value for name, value in found.items() if name and not name.startswith(DROPPED)}


def variables(
    endpoint: Endpoint, base: image.ContainerConfig | None = None, last: str = ""
) -> dict[str, str]:
    """What the server sees: what the platform promises, over the owner's, over the base's.

    `last` is a folder of packages that its Python would not look into by itself.
    """
    under = {} if base is None else inherited(base)
    own = {name: value for name, value in endpoint.environment.items() if name not in UNSAFE}
    path = [
        f"{image.PYTHON}/bin",
        f"{image.HOME}/.local/bin",
        own.get("PATH") or under.get("PATH") or SYSTEM_PATH,
        *([] if base is None else [OWN_BIN]),
    ]
    promised = {
        "PATH": ":".join(path),
        "HOME": image.HOME,
        "PYTHONUSERBASE": image.PYTHON,
        "PORT": str(endpoint.port),
        **_of_format(endpoint),
    }
    further = own.get("PYTHONPATH") or under.get("PYTHONPATH", "")
    modules = _modules(endpoint, further, last)
    if modules != further:
        promised["PYTHONPATH"] = modules
    defaults = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}  # the layer is shared
    if is_own_runtime(endpoint):  # an image that is run as it is
        defaults |= under
    return dict(sorted((under | defaults | own | promised).items()))


def is_own_runtime(endpoint: Endpoint) -> bool:
    """Whether its base image itself is what serves, with its own command."""
    return isinstance(endpoint.entry, Model) and endpoint.entry.server == "runtime"


def _of_format(endpoint: Endpoint) -> dict[str, str]:
    match endpoint.format:
        case "valohai":
            return {"VALOHAI_PORT": str(endpoint.port)}
        case "proximl":
            folders = ML_FOLDERS.items()
            return {f"{prefix}_{name}_PATH": at for prefix in ML_PREFIXES for name, at in folders}
        case "hydrosphere":
            return {"APP_PORT": str(endpoint.port), "MODEL_DIR": image.MODEL}


def _modules(endpoint: Endpoint, further: str, last: str) -> str:
    """PYTHONPATH: the code's before what its owner or its base says, packages after it."""
    first = image.CODE["proximl"] if endpoint.format == "proximl" else ""
    if endpoint.format == "hydrosphere" and not (further and is_own_runtime(endpoint)):
        first = SOURCES
    return ":".join(filter(None, (first, further, last)))
