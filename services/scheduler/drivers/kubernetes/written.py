"""How a manifest is written down to be applied: servers read that as YAML.

JSON is YAML but for some characters, which YAML forbids or takes for the end of a line, and which
JSON may say by their numbers. Not all of JSON's numbers are YAML's, so only these are said so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

_STRANGE: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def written(manifest: Mapping[str, Any]) -> bytes:
    """As both languages have it.

    >>> written({"a": "b" + chr(127)}).decode()
    '{"a":"b\\\\u007f"}'
    """
    text = msgspec.json.encode(manifest).decode()
    return _STRANGE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
