"""What tests run beside the project, installed and made ahead of them: `python -m tests.beds`.

`make test` begins with it. A test that is run by itself has its bed install what it needs.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from tests.beds import bases, debian

PROGRAMS: Final = {
    "buildah": "buildah",
    "ctr": "containerd",
    "docker-registry": "docker-registry",
    "git": "git",
    "openssl": "openssl",
    "podman": "podman",
    "runc": "runc",
    "skopeo": "skopeo",
}
"""Program -> its package."""


def main() -> int:
    missing = [package for name, package in PROGRAMS.items() if debian.which(name) is None]
    trouble = debian.install(*missing) if missing else ""
    if trouble:
        print(f"setup: {trouble}; run: apt-get install {' '.join(missing)}", file=sys.stderr)
        return 1
    for name in bases.BASES:
        asyncio.run(bases.kept(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
