"""Values on the command line, read and checked. argparse shows the messages."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from slipway.errors import BadUsage


def pair(text: str) -> tuple[str, str]:
    """KEY=VALUE"""
    key, found, value = text.partition("=")
    if not found or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def version_file(text: str) -> tuple[str, str, Path]:
    """ENDPOINT.FILE=PATH"""
    where, found, path = text.partition("=")
    endpoint, dot, name = where.partition(".")
    if not (found and dot and endpoint and name and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not ENDPOINT.FILE=PATH")
    return endpoint, name, Path(path)


def replicas(text: str) -> tuple[str, int]:
    """[ENDPOINT=]N"""
    endpoint, found, number = text.rpartition("=")
    if found and not endpoint:
        raise argparse.ArgumentTypeError(f"{text!r} is not [ENDPOINT=]N")
    return endpoint or "*", positive(number)


SCALING = {
    "requests": "requests",
    "waiting": "waiting",
    "cpu": "cpu_percent",
    "down-after": "down_after",
}


def autoscaling(text: str) -> dict[str, int]:
    """MIN-MAX[,requests=N][,waiting=N][,cpu=N][,down-after=SECONDS]"""
    span, *options = text.split(",")
    least, found, most = span.partition("-")
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with MIN-MAX, such as 1-5")
    said = {"min": positive(least), "max": positive(most)}
    for option in options:
        name, _, number = option.partition("=")
        if name not in SCALING:
            allowed = ", ".join(SCALING)
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {allowed}")
        said[SCALING[name]] = count(number)
    return said


def autoscaling_of(text: str) -> tuple[str, dict[str, int]]:
    """[ENDPOINT=]MIN-MAX[,...]"""
    endpoint, found, rest = text.partition("=")
    if not found or "," in endpoint:
        return "*", autoscaling(text)
    if not endpoint:
        raise argparse.ArgumentTypeError(f"{text!r} is not [ENDPOINT=]MIN-MAX")
    return endpoint, autoscaling(rest)


def positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def amount(text: str) -> float:
    """A number from 0 on, such as 0.5"""
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number such as 0.5")
    return float(text)


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration(text: str) -> float:
    """Seconds, of 90, 90s, 10m, 2h or 1d"""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = 0.0
    if not (number.isascii() and 0 < seconds < float("inf")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 10m, 2h or 1d")
    return seconds


def above_zero(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error


def data(text: str) -> Any:
    """JSON, @FILE with some, or - for standard input"""
    if text == "-":
        return json(sys.stdin.read())
    return json(read(Path(text[1:])) if text.startswith("@") else text)


def read(path: Path) -> str:
    """A small text file that was named on the command line."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadUsage(f"cannot read {path}: {why}") from error
