"""Pulls a base into the shared store, or removes one, inside a sandbox: no code of it is run.

    python … pull REFERENCE [--plain | --gone]

Credentials, if there are any, are at /work/auth.json.
"""

from __future__ import annotations

import os
import subprocess
import sys

from .step import CONFIG, STORE, WORK, configure

OWN = {
    **CONFIG,
    "storage.conf": f"""[storage]
driver = "overlay"
graphroot = "{STORE}"
runroot = "{WORK}/run"
""",
}


def main() -> int:
    base, *options = sys.argv[2:]
    env = configure(WORK, OWN)
    return subprocess.run([*_command(options), base], env=env, check=False).returncode


def _command(options: list[str]) -> list[str]:
    if "--gone" in options:
        return ["buildah", "rmi", "--force"]
    command = ["buildah", "pull", "--quiet", "--policy=always"]
    command += ["--signature-policy", f"{WORK}/policy.json"]
    command += ["--tls-verify=false"] if "--plain" in options else []
    if os.path.exists(f"{WORK}/auth.json"):
        command += ["--authfile", f"{WORK}/auth.json"]
    return command
