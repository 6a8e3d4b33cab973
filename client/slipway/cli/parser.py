"""The grammar of the command line, put together from the groups' own parts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from slipway.cli import (
    accounts,
    alias,
    applications,
    apply,
    billing,
    call,
    configurations,
    deploy,
    endpoint,
    events,
    jobs,
    logs,
    models,
    platform,
    queue,
    quotas,
    run,
    versions,
    why,
)
from slipway.errors import BadUsage

ABOUT = "Deploy models and look after them."
EPILOG = """\
examples:
  slipway deploy examples/iris --alias production
  slipway apply -f claims/
  slipway jobs
  slipway logs JOB -f
  slipway test iris/production/predict --body '{"petal": [5.1, 1.8]}'

A JOB is an id, the beginning of one, or a name. The platform is found by SLIPWAY_URL and
SLIPWAY_TOKEN, else by $SLIPWAY_HOME/client.toml, which `make up` writes.

exit codes: 0 it worked; 1 the platform refused it, or it failed; 2 the command line or the
configuration is wrong; 130 interrupted.
"""


GROUPS = (
    deploy,
    endpoint,
    apply,
    models,
    configurations,
    applications,
    jobs,
    why,
    queue,
    run,
    logs,
    versions,
    alias,
    call,
    events,
    platform,
    quotas,
    billing,
    accounts,
)


class Parser(argparse.ArgumentParser):
    """Takes --json and --project before and after a command; raises BadUsage."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        self.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON"
        )
        self.add_argument(
            "--project",
            metavar="OWNER/PROJECT",
            default=argparse.SUPPRESS,
            help="instead of the configured one",
        )

    def error(self, message: str) -> NoReturn:
        raise BadUsage(message, f"see `{self.prog} --help`")


def build() -> Parser:
    parser = Parser(prog="slipway", description=ABOUT, epilog=EPILOG)
    parser.set_defaults(json=False, project=None)
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    for group in GROUPS:
        group.add(commands)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments; raises BadUsage when they make no sense."""
    return build().parse_args(argv)
