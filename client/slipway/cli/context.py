"""What a command is given: its arguments, the client, and where to write."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from slipway.cli.output import Output
from slipway.client import AsyncClient


class Context:
    args: argparse.Namespace
    client: AsyncClient

    def __init__(self, *, out: Output) -> None:
        self.out = out
        self.hint = ""  # said when somebody presses Ctrl-C: how to go on


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run = Callable[[Context], Awaitable[int | None]]
"""A command. Returns its exit code; None is 0."""


def command(
    commands: Commands, name: str, run: Run, about: str, *examples: str
) -> argparse.ArgumentParser:
    """Add a command with what its --help says."""
    shown = "".join(f"\n  {example}" for example in examples)
    made = commands.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=f"examples:{shown}" if examples else None,
    )
    made.set_defaults(run=run)
    return made


def group(commands: Commands, name: str, about: str) -> Commands:
    """Add a command that has commands of its own."""
    made = commands.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
    return made.add_subparsers(metavar="COMMAND", required=True, dest="subcommand")
