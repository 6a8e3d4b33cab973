"""How services hear from one another: `port.py` is the contract, the others keep it."""

from shared.bus.port import Announcer, Bus, Handler

__all__ = ["Announcer", "Bus", "Handler"]
