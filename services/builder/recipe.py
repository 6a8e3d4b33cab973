"""What an image is made of, as values: its layers' keys, how it starts, and its environment.

Everything here is a pure function of a definition and of the facts about the machine that builds,
so the same inputs always ask for the same image, and a layer that was built before is found by
its key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from services.builder.script import script
from shared import image
from shared.endpoint import Command, Endpoint, Routes, Wsgi

VERSION: Final = 1
"""Part of every key; it grows when the same inputs shall give other layers than before."""

SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

ML_FOLDERS: Final = {
    "MODEL": image.CODE["proximl"],
    "DATA": "/opt/ml/input",
    "OUTPUT": "/opt/ml/output",
    "CHECKPOINT": "/opt/ml/checkpoint",
}
ML_PREFIXES: Final = ("ML", "TRAINML", "PROXIML")

SERVER: Final = "gunicorn"
"""What the platform's own launchers need; it is installed unless the project asks for it."""


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """The machine whose Python will run the code."""

    python: str  # 3.11.7
    platform: str  # linux-x86_64, with the C library's name where that matters
    architecture: str  # as OCI calls it: amd64
    os: str = "linux"

    @property
    def site_packages(self) -> str:
        """Relative to the Python user base."""
        return f"lib/python{'.'.join(self.python.split('.')[:2])}/site-packages"


def key(kind: str, *parts: object) -> str:
    """A name for a layer that is the same only for the same kind made from the same parts."""
    body = msgspec.json.encode([VERSION, kind, *parts], order="sorted")
    return f"{kind}:{hashlib.sha256(body).hexdigest()}"


def code_key(source: str, at: str) -> str:
    return key("code", source, at)


def python_key(
    host: Host, requirements: Mapping[str, str], extra: Iterable[str], indexes: str, tree: str
) -> str:
    """`requirements` are the files by path, `tree` the code layer if they point into the source."""
    where = [host.python, host.platform]
    return key("python", where, dict(requirements), list(extra), indexes, tree)


def files_key(files: Mapping[str, str]) -> str:
    """`files` are digests by absolute path."""
    return key("files", dict(files))


def runtime_files(endpoint: Endpoint, runtime: Mapping[str, bytes]) -> dict[str, bytes]:
    """What the runtime layer holds, by absolute path."""
    own = {f"{image.RUNTIME}/{name}": body for name, body in runtime.items()}
    return own | {image.ENDPOINT: msgspec.json.encode(endpoint, order="sorted")}


def home_files(endpoint: Endpoint) -> dict[str, bytes]:
    """The home layer's folders: HOME, and those that the format promises."""
    extra = ML_FOLDERS.values() if endpoint.format == "proximl" else ()
    return {f"{path}/": b"" for path in (image.HOME, *extra)}


HOME_LINKS: Final = {f"{image.HOME}/.local": "../python"}


def file_paths(endpoint: Endpoint, given: Mapping[str, str]) -> dict[str, str]:
    """Digests of the files that were given for an endpoint, by absolute path in the image."""
    root = image.CODE[endpoint.format]
    return {
        f"{root}/{file.path}": given[file.name] for file in endpoint.files if file.name in given
    }


def packages(endpoint: Endpoint, asked_for: Iterable[str]) -> tuple[str, ...]:
    """Requirements beside those of the project's file, which asks for the names `asked_for`."""
    runs_here = isinstance(endpoint.entry, Wsgi | Routes) and SERVER not in set(asked_for)
    return (*endpoint.pip_packages, *((SERVER,) if runs_here else ()))


def entrypoint(endpoint: Endpoint) -> tuple[str, ...]:
    match endpoint.entry:
        case Command(lines=lines):
            return ("/bin/sh", "-c", script(lines))
        case Wsgi(app=app):
            return ("python", f"{image.RUNTIME}/wsgi.py", app)
        case Routes():
            return ("python", f"{image.RUNTIME}/routes.py")


def environment(endpoint: Endpoint) -> dict[str, str]:
    """What the server sees. The owner's variables, with what the platform promises on top."""
    own = dict(endpoint.environment)
    code = image.CODE[endpoint.format]
    promised = {
        "PATH": f"{image.PYTHON}/bin:{image.HOME}/.local/bin:{own.get('PATH') or SYSTEM_PATH}",
        "HOME": image.HOME,
        "PYTHONUSERBASE": image.PYTHON,
        "PORT": str(endpoint.port),
    }
    if endpoint.format == "valohai":
        promised["VALOHAI_PORT"] = str(endpoint.port)
    else:
        promised["PYTHONPATH"] = ":".join(filter(None, (code, own.get("PYTHONPATH"))))
        promised |= {
            f"{prefix}_{name}_PATH": path
            for prefix in ML_PREFIXES
            for name, path in ML_FOLDERS.items()
        }
    defaults = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}  # the layer is shared
    return dict(sorted((defaults | own | promised).items()))


def container(endpoint: Endpoint) -> image.ContainerConfig:
    return image.ContainerConfig(
        entrypoint=entrypoint(endpoint),
        env=tuple(f"{name}={value}" for name, value in environment(endpoint).items()),
        working_dir=image.CODE[endpoint.format],
        labels={
            "dev.slipway.endpoint": endpoint.name,
            "dev.slipway.format": endpoint.format,
        },
    )


def note(endpoint: Endpoint, host: Host) -> str | None:
    """What its owner should know about the image on a target that pulls no base image."""
    if not endpoint.image:
        return None
    return (
        f"endpoint {endpoint.name}: base image {endpoint.image} is not used on this target; "
        f"the machine's Python {host.python} runs the code"
    )
