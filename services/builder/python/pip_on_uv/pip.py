"""`pip` as the lines of a model's owner know it, done by uv: it installs, and lists what is there.

It reads pip's own settings (PIP_CONFIG_FILE and PIP_*), since uv does not, and drops the options
that mean nothing to uv.
"""

from __future__ import annotations

import configparser
import os
import sys

UV = "SLIPWAY_UV"  # which program uv is
CACHE = "SLIPWAY_UV_CACHE"
PREFIX = "PYTHONUSERBASE"  # where packages go

DROPPED = (
    *("--user", "--no-input", "--no-color", "--no-compile", "--no-cache-dir", "--prefer-binary"),
    *("--no-warn-script-location", "--disable-pip-version-check", "--break-system-packages"),
    "--use-pep517",
)
DROPPED_WITH_VALUE = (
    *("--progress-bar", "--root-user-action", "--timeout", "--default-timeout", "--retries"),
    *("--cache-dir", "--upgrade-strategy", "--use-feature"),
)
INSTEAD = {
    "-I": "--reinstall",
    "--ignore-installed": "--reinstall",
    "--force-reinstall": "--reinstall",
}
LOOKS = ("list", "freeze")
OPTIONS = ("--no-config", "--no-python-downloads", "--no-progress", "--color", "never")


def settings(environ: dict[str, str]) -> dict[str, str]:
    """pip's options by long name; variables win over the file."""
    found: dict[str, str] = {}
    file = environ.get("PIP_CONFIG_FILE") or "pip.conf"
    parser = configparser.RawConfigParser(strict=False)
    parser.read(file, "utf-8")
    for section in ("global", "install"):
        if parser.has_section(section):
            found.update((name.replace("_", "-"), value) for name, value in parser.items(section))
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            found[name[4:].lower().replace("_", "-")] = value
    return found


def translated(pip: dict[str, str], environ: dict[str, str]) -> dict[str, str]:
    """uv's variables, a project's own over those of the machine."""
    listed = {name: " ".join(value.split()) for name, value in pip.items()}
    found = {
        "UV_DEFAULT_INDEX": listed.get("index-url", ""),
        "UV_INDEX": " ".join((listed.get("extra-index-url", ""), environ.get("UV_INDEX", ""))),
        "UV_FIND_LINKS": listed.get("find-links", "").replace(" ", ","),
        "UV_INSECURE_HOST": listed.get("trusted-host", ""),
        "SSL_CERT_FILE": listed.get("cert", ""),
        "UV_NO_INDEX": "1"
        if listed.get("no-index", "").lower() in ("1", "true", "yes", "on")
        else "",
    }
    return {name: value.strip() for name, value in found.items() if value.strip()}


def arguments(given: list[str]) -> list[str]:
    """What uv is given for the arguments of `pip install`."""
    kept: list[str] = []
    left = list(given)
    while left:
        word = left.pop(0)
        name, equals, _ = word.partition("=")
        if name in DROPPED_WITH_VALUE:
            if not equals and left:
                left.pop(0)
        elif name not in DROPPED:
            kept.append(INSTEAD.get(word, word))
    return kept


def main() -> None:
    given = sys.argv[1:]
    while given and given[0] in DROPPED:
        given = given[1:]
    verb = given[0] if given else ""
    if verb in ("--version", "-V"):
        print("pip, done by uv")
        return
    uv, prefix = os.environ[UV], os.environ[PREFIX]
    command = [uv, "pip", verb, *OPTIONS, "--cache-dir", os.environ[CACHE]]
    command += ["--python", sys.executable]
    if not any(word.startswith("--target") for word in given):
        command += ["--prefix", prefix]
    environment = dict(os.environ)
    if verb == "install":
        command += ["--link-mode", "copy", *arguments(given[1:])]
        environment.update(translated(settings(environment), environment))
    elif verb in LOOKS:
        command += given[1:]
    else:
        sys.exit("pip: here it knows install, " + ", ".join(LOOKS))
    os.execve(uv, command, environment)


if __name__ == "__main__":
    main()
