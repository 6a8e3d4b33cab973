"""Pairs of keys for tests, as files: made by openssl, as people make them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

from shared.signing import Signer, Verifier, read_signer, read_verifiers


class Pair(msgspec.Struct, frozen=True):
    private: Path
    public: Path

    @property
    def signer(self) -> Signer:
        return read_signer(self.private)

    @property
    def trusted(self) -> list[Verifier]:
        return list(read_verifiers(self.public))


def pair(folder: Path, name: str, *, curve: str = "P-256") -> Pair:
    made = Pair(folder / f"{name}.key", folder / f"{name}.pem")
    option = f"ec_paramgen_curve:{curve}"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", option, "-out", made.private)
    openssl("pkey", "-in", made.private, "-pubout", "-out", made.public)
    return made


def openssl(*arguments: str | Path) -> bytes:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout
