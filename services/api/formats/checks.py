"""Checks that the formats share. Each appends to a list, so that a person is told all at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from services.api.types import AutoscalingOptions, SchedulingOptions, ServingOptions
from shared.endpoint import Autoscaling, Scheduling, Serving
from shared.errors import Invalid
from shared.problems import Wrong

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLES: Final = 200
_VALUE: Final = 32_768
_IMAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,499}")
_PATH: Final = 1_000
EVERY: Final = "*"  # in serving options: the endpoints that are not named
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


class Wrongs(list[Wrong]):
    """What is wrong so far, each thing once. More than `MOST` help nobody: the rest is dropped."""

    MOST: Final = 50

    def add(self, field: str, message: str) -> None:
        wrong = Wrong(field=field, message=message)
        if len(self) < self.MOST and wrong not in self:
            self.append(wrong)

    def check(self) -> None:
        """Raise Invalid with all of them, if there are any."""
        if self:
            raise Invalid.of(self)


def short(value: object) -> str:
    """A few characters of what was sent, for a message."""
    text = repr(value[:41] if isinstance(value, str) else value)
    return text if len(text) <= 43 else text[:40] + "…"


def title(name: str) -> str:
    """A thing's name at the head of a message: on one line, and not for ever."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:63])


def unstorable(text: str) -> bool:
    """NUL and lone surrogates have no place in a database, a file name or a process."""
    return "\0" in text or _SURROGATE.search(text) is not None


def environment(pairs: Iterable[tuple[str, str]], field: str, wrongs: Wrongs) -> dict[str, str]:
    """Environment variables; `field` is the prefix of an error's path."""
    found: dict[str, str] = {}
    for name, value in pairs:
        at = f"{field}.{name[:40]}" if _VARIABLE.fullmatch(name) else field
        if not _VARIABLE.fullmatch(name) or len(name) > 200:
            wrongs.add(at, f"{short(name)} is not a variable's name; letters, digits and _ only")
        elif name in found:
            wrongs.add(at, "is given twice")
        elif len(value) > _VALUE:
            wrongs.add(at, f"is longer than the {_VALUE} characters allowed")
        elif unstorable(value):
            wrongs.add(at, "contains a NUL character or a lone surrogate")
        found[name] = value
    if len(found) > _VARIABLES:
        wrongs.add(field, f"has more than the {_VARIABLES} variables allowed")
    return found


def inside(path: str) -> str | None:
    """`path` in its plain form if it names a file inside the code folder, else None."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    outside = path.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", path)
    odd = "\\" in path or _CONTROL.search(path) or _SURROGATE.search(path)
    long = len(path) > _PATH or any(len(part.encode("utf-8", "replace")) > 255 for part in parts)
    if not parts or path.endswith("/") or outside or odd or long:
        return None
    return "/".join(parts)


def image(reference: str, field: str, wrongs: Wrongs) -> str:
    if not _IMAGE.fullmatch(reference):
        wrongs.add(
            field, f"{short(reference)} is not an image; for example python:3.11 or host/name:tag"
        )
    return reference


def serving(options: Mapping[str, ServingOptions], endpoint: str) -> Serving:
    """The options for one endpoint, else those for every endpoint, else the defaults."""
    given = options.get(endpoint, options.get(EVERY))
    return Serving() if given is None else serving_of(given)


def scheduling(options: Mapping[str, SchedulingOptions], endpoint: str) -> Scheduling:
    """The same for the queue."""
    given = options.get(endpoint, options.get(EVERY))
    return Scheduling() if given is None else scheduling_of(given)


def replicas(given: Mapping[str, int], endpoint: str) -> int:
    """The copies of one endpoint, else those of every endpoint, else one."""
    return given.get(endpoint, given.get(EVERY, 1))


def serving_of(options: ServingOptions) -> Serving:
    return Serving(
        concurrency=options.concurrency,
        waiting=options.waiting,
        wait_seconds=options.wait_seconds,
        timeout_seconds=options.timeout_seconds,
        strip_prefix=options.strip_prefix,
    )


def scheduling_of(options: SchedulingOptions) -> Scheduling:
    return msgspec.convert(msgspec.structs.asdict(options), Scheduling)


def autoscaling(
    given: Mapping[str, AutoscalingOptions], replicas: Mapping[str, int], endpoint: str
) -> Autoscaling | None:
    """How one endpoint is scaled: as it says itself, or, if it names no number of copies, as every
    endpoint is."""
    found = given.get(endpoint)
    if found is None and endpoint not in replicas:
        found = given.get(EVERY)
    return None if found is None else autoscaling_of(found)


def check_autoscaling(options: AutoscalingOptions, field: str, wrongs: Wrongs) -> None:
    if options.max < options.min:
        wrongs.add(f"{field}.max", f"is {options.max}; it must not be less than min")
    by_demand = options.requests is not None or options.waiting is not None
    if options.cpu_percent is not None and by_demand:
        said = "does not go with requests or waiting: a job is scaled by CPU or by what is asked"
        wrongs.add(f"{field}.cpu_percent", said)


def autoscaling_of(options: AutoscalingOptions) -> Autoscaling:
    said = msgspec.structs.asdict(options)
    return msgspec.convert({k: v for k, v in said.items() if v is not None}, Autoscaling)
