"""The platform's own log: one JSON object a line on stderr, whatever is in the message.

Trouble that passes is foreseen: it is told in a line, and where it came from only at DEBUG.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import msgspec

from shared.errors import Transient


class Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "name": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = _short(record) or self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def _short(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    foreseen = isinstance(error, Transient) and record.levelno < logging.ERROR
    if not foreseen or logging.getLogger().isEnabledFor(logging.DEBUG):
        return ""
    return f"{type(error).__name__}: {error}"


def configure(level: str = "INFO") -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
