"""Names the platform gives to things: short, random, valid as a DNS label and a file name."""

from __future__ import annotations

import secrets
from typing import NewType

JobId = NewType("JobId", str)
VersionId = NewType("VersionId", str)
DeploymentId = NewType("DeploymentId", str)
SourceId = NewType("SourceId", str)
ApplicationId = NewType("ApplicationId", str)

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: nothing that reads like something else
LENGTH = 12  # 60 bits: a billion things collide with a chance of one in two


def new(prefix: str) -> str:
    """`j` and twelve letters: `j7x0k2m4q9tzd`. The prefix tells a person what it names."""
    chance = secrets.token_bytes(LENGTH)  # of each byte its lowest five bits
    return prefix + "".join([ALPHABET[byte & 31] for byte in chance])
