"""The same request for a shell and for Python: pure."""

from __future__ import annotations

import shlex
from typing import Any, Final

LONG: Final = 2_000  # characters of inputs that are still shown in a call
FILE: Final = "inputs.json"


def curl(url: str, body: str) -> str:
    """A command line that sends `body`; what is long is left to a file."""
    data = shlex.quote(body if len(body) <= LONG else f"@{FILE}")
    return f"curl {shlex.quote(url)} -H 'Content-Type: application/json' -d {data}"


def python(url: str, inputs: Any, body: str) -> str:
    """Lines that do the same with nothing but Python."""
    short = len(body) <= LONG
    data = f"json.dumps({inputs!r}).encode()" if short else f'open("{FILE}", "rb").read()'
    return (
        "import json, urllib.request\n"
        f"data = {data}\n"
        f'request = urllib.request.Request({url!r}, data, {{"Content-Type": "application/json"}})\n'
        "print(json.load(urllib.request.urlopen(request)))"
    )
