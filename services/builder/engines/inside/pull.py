"""Pulls one base into the shared store, inside a sandbox: no code of the base is run.

    python … pull REFERENCE [--plain]

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
    command = ["buildah", "pull", "--quiet", "--signature-policy", f"{WORK}/policy.json"]
    command += ["--tls-verify=false"] if "--plain" in options else []
    if os.path.exists(f"{WORK}/auth.json"):
        command += ["--authfile", f"{WORK}/auth.json"]
    return subprocess.run([*command, base], env=env, check=False).returncode
