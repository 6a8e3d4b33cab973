"""Runs the command line in a test and reads what it wrote."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from slipway.cli import main


class Ran(msgspec.Struct, frozen=True):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Coroutine[Any, Any, Ran]]


def runner(capsys: pytest.CaptureFixture[str]) -> Run:
    async def run(*argv: object) -> Ran:
        capsys.readouterr()
        code = await asyncio.to_thread(main, [str(arg) for arg in argv])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Ran(code, out, err)

    return run


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.01)


async def deployed(run: Run, code: Path, *more: str) -> Any:
    return (await run("deploy", code, "--json", *more)).json
