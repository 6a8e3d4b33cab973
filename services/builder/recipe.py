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

from services.builder.python.reason import masked
from services.builder.script import script
from services.builder.variables import ML_FOLDERS, OWN_BIN, is_own_runtime, variables
from shared import image
from shared.endpoint import Command, Endpoint, Model, Routes, Wsgi
from shared.errors import Invalid
from shared.hydrosphere import contracts

VERSION: Final = 2
"""Part of every key; it grows when the same inputs shall give other layers than before."""

SERVER: Final = ("gunicorn",)
MODEL_SERVER: Final = ("grpcio", "numpy", "protobuf")
"""What the platform's own launchers need; it is installed unless the project asks for it."""

NONE: Final[Mapping[str, str]] = {}


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """The machine or base image whose Python will run the code; without one `python` is empty."""

    python: str  # 3.11.7
    platform: str  # linux-x86_64, with the C library's name where that matters
    architecture: str  # as OCI calls it: amd64
    os: str = "linux"
    executable: str = "python"  # what starts it
    venv: bool = False  # it does not look into a user base by itself

    @property
    def site_packages(self) -> str:
        """Relative to the Python user base."""
        return f"lib/python{'.'.join(self.python.split('.')[:2])}/site-packages"


def key(kind: str, *parts: object) -> str:
    """A name for a layer that is the same only for the same kind made from the same parts."""
    body = msgspec.json.encode([VERSION, kind, *parts], order="sorted")
    return f"{kind}:{hashlib.sha256(body).hexdigest()}"


def code_key(project: str, source: str, at: str, without: Iterable[str] = ()) -> str:
    """`without` are the files of the source that no image has."""
    left_out = sorted(without)
    return key("code", project, source, at, *([left_out] if left_out else []))


def python_key(
    project: str,
    host: Host,
    requirements: Mapping[str, str],
    extra: Iterable[str],
    indexes: str,
    tree: str,
) -> str:
    """`requirements` are the files by path, `tree` the code layer if they point into the source."""
    where = [host.python, host.platform, host.executable]
    return key("python", project, where, dict(requirements), list(extra), indexes, tree)


def files_key(project: str, files: Mapping[str, str]) -> str:
    """`files` are digests by absolute path."""
    return key("files", project, dict(files))


def runtime_files(
    endpoint: Endpoint, runtime: Mapping[str, bytes], deployment: str = ""
) -> dict[str, bytes]:
    """What the runtime layer holds, by absolute path. `deployment` is what a model is called."""
    own = {f"{image.RUNTIME}/{name}": body for name, body in runtime.items()}
    if isinstance(endpoint.entry, Model):
        own[image.CONTRACT] = contracts.encode(endpoint.entry.contract, deployment)
    # an index may be named in a line, with a password: whoever pulls an image reads this
    shown = msgspec.structs.replace(endpoint, install=tuple(map(masked, endpoint.install)))
    return own | {image.ENDPOINT: msgspec.json.encode(shown, order="sorted")}


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
    known = set(asked_for)
    return (*endpoint.pip_packages, *(name for name in server(endpoint) if name not in known))


def server(endpoint: Endpoint) -> tuple[str, ...]:
    """The packages without which the platform itself can't start it; none where it doesn't."""
    match endpoint.entry:
        case Wsgi() | Routes():
            return SERVER
        case Model(server="platform"):
            return MODEL_SERVER
    return ()


def runtime_links(host: Host) -> dict[str, str]:
    """Names for a base image's interpreter: path -> target. None where the machine has its own."""
    if not host.executable.startswith("/"):
        return {}
    return {f"{OWN_BIN}/{name}": host.executable for name in ("python", "python3")}


def entrypoint(
    endpoint: Endpoint, host: Host, base: image.ContainerConfig | None = None
) -> tuple[str, ...]:
    match endpoint.entry:
        case Command(lines=lines):
            return ("/bin/sh", "-c", script(lines))
        case Wsgi(app=app):
            return (host.executable, f"{image.RUNTIME}/wsgi.py", app)
        case Routes():
            return (host.executable, f"{image.RUNTIME}/routes.py")
        case Model(server="platform"):
            return (host.executable, f"{image.RUNTIME}/model_server.py")
        case Model():
            return _own_command(base)


def _own_command(base: image.ContainerConfig | None) -> tuple[str, ...]:
    """That of a runtime which is its owner's image. Raises Invalid when there is none."""
    if base is None:
        raise Invalid(
            "runtime",
            "is an image, and this target runs none; choose a target with containers, or one of "
            "the runtimes that the platform has itself",
        )
    if not base.entrypoint:
        raise Invalid("runtime", "is an image without a command; give it an ENTRYPOINT or a CMD")
    return base.entrypoint


def environment(
    endpoint: Endpoint, host: Host, base: image.ContainerConfig | None = None
) -> dict[str, str]:
    """What the server sees."""
    last = f"{image.PYTHON}/{host.site_packages}" if host.venv else ""
    return variables(endpoint, base, last)


def container(
    endpoint: Endpoint,
    host: Host,
    base: image.ContainerConfig | None = None,
    labels: Mapping[str, str] = NONE,
) -> image.ContainerConfig:
    """How it starts. Of a base only its variables count: not its user, volumes or ports.

    Where the base is what serves, its command and its working directory do, too.
    """
    own = base.working_dir if base is not None and is_own_runtime(endpoint) else ""
    return image.ContainerConfig(
        entrypoint=entrypoint(endpoint, host, base),
        env=tuple(f"{name}={value}" for name, value in environment(endpoint, host, base).items()),
        working_dir=own or image.CODE[endpoint.format],
        user=f"{image.USER}:{image.USER}",
        labels=dict(labels),
    )


def note(endpoint: Endpoint, host: Host) -> str | None:
    """What its owner should know about the image on a target that pulls no base image."""
    if not endpoint.image:
        return None
    return (
        f"endpoint {endpoint.name}: base image {endpoint.image} is not used on this target; "
        f"the machine's Python {host.python} runs the code"
    )
