"""Unary gRPC calls to servers that are not ours: `Channel` has all of it.

HTTP/2 without TLS and without negotiation (h2c by prior knowledge), as gRPC servers speak it inside
a cluster. Whatever a server says is measured before it is believed: every wait has an end, every
size a limit, and what could be read in two ways is refused.
"""

from shared.dial import Failed, Trouble
from shared.unary.channel import Channel
from shared.unary.codes import Code
from shared.unary.limits import Limits
from shared.unary.pool import Channels
from shared.unary.rejected import Rejected
from shared.unary.request import Metadata

__all__ = ["Channel", "Channels", "Code", "Failed", "Limits", "Metadata", "Rejected", "Trouble"]
