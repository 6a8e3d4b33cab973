"""What may be said to the queue, on the command lines of all that submit jobs."""

from __future__ import annotations

import argparse
from typing import Any

from slipway.cli import values


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--priority", choices=("low", "normal", "high"), help="its class in the queue [normal]"
    )
    parser.add_argument(
        "--preemptible", action="store_true", help="it may have to give way, and queues again then"
    )
    parser.add_argument(
        "--gang", action="store_true", help="all of its copies start at once, or none"
    )
    parser.add_argument(
        "--start-within",
        metavar="TIME",
        type=values.duration,
        help="it fails unless it has its place by then: 90s, 10m, 2h, 1d",
    )
    parser.add_argument(
        "--run-at-most", metavar="TIME", type=values.duration, help="from its place to its end"
    )


def said(args: argparse.Namespace) -> dict[str, Any] | None:
    """The options that were given; None when none was."""
    given = {
        "priority": args.priority,
        "preemptible": args.preemptible or None,
        "gang": args.gang or None,
        "start_within": args.start_within,
        "run_at_most": args.run_at_most,
    }
    return {name: value for name, value in given.items() if value is not None} or None
