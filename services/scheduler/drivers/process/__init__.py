"""The process driver: replicas as processes of this machine, in namespaces of their own."""

from services.scheduler.drivers.process.open import open_process

__all__ = ["open_process"]
