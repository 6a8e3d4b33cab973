"""Slipway for Python: `Client` and, for asyncio, `AsyncClient` with the same methods."""

from slipway.client import AsyncClient
from slipway.config import Settings, find
from slipway.errors import (
    Ambiguous,
    BadDocument,
    BadSource,
    Failed,
    SlipwayError,
    Unconfigured,
    Unreachable,
)
from slipway.sync import Client

__all__ = [
    "Ambiguous",
    "AsyncClient",
    "BadDocument",
    "BadSource",
    "Client",
    "Failed",
    "Settings",
    "SlipwayError",
    "Unconfigured",
    "Unreachable",
    "find",
]
