"""Unary gRPC calls from clients that nobody knows: `Server` has all of it.

HTTP/2 without TLS and without negotiation, as in `shared.unary`, seen from the other side. What a
client may make us hold, wait for or work on has a limit each, in `Limits`; bytes of messages are
kept only once the method that they are for has said that there is room.
"""

from shared.unary.serving.limits import Limits
from shared.unary.serving.method import Method, Methods
from shared.unary.serving.refused import Refused
from shared.unary.serving.server import Server

__all__ = ["Limits", "Method", "Methods", "Refused", "Server"]
