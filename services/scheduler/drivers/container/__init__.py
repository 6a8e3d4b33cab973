"""The `container` target: replicas are containers of this machine's Docker or Podman."""

from services.scheduler.drivers.container.open import open_container, socket_url

__all__ = ["open_container", "socket_url"]
