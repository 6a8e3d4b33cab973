"""`slipway`: the command line. One file per group of commands; this one runs what was asked.

Exit codes: 0 it worked; 1 the platform refused it, or what was waited for failed; 2 the command
line or the configuration is wrong; 130 interrupted.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

from slipway.cli.context import Context
from slipway.cli.output import Output
from slipway.cli.parser import parse
from slipway.client import AsyncClient
from slipway.errors import BadDocument, BadSource, BadUsage, SlipwayError, Unconfigured

WRONG = (BadDocument, BadSource, BadUsage, Unconfigured)
"""Errors that are told with exit code 2: nothing was asked of the platform, or in vain."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = sys.argv[1:] if argv is None else argv
    out = Output(json="--json" in given)
    context = Context(out=out)
    try:
        context.args = parse(given)
        return asyncio.run(_run(context))
    except SlipwayError as error:
        out.error(error)
        return 2 if isinstance(error, WRONG) else 1
    except KeyboardInterrupt:
        out.interrupted(context.hint)
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


async def _run(context: Context) -> int:
    async with AsyncClient(project=context.args.project) as client:
        context.client = client
        return int(await context.args.run(context) or 0)
