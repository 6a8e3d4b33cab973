"""Keeps replicas' networks apart where the engine forgets to.

Podman's netavark walls off networks that are made with `isolate`, by rules that it takes away again
with the first of these networks that goes: the others are open to one another until the next one
comes (netavark 1.4, as Debian 12 has it; its rule for accepting traffic had the same fault once,
https://github.com/containers/netavark/pull/226). So a rule of our own stands before its rules: what
comes from one of our bridges goes to no other. It stays, whoever comes and goes.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio.subprocess import DEVNULL, PIPE
from typing import Final

from services.scheduler.drivers.container.spec import BRIDGES

log = logging.getLogger(__name__)

RULE: Final = ("FORWARD", "-i", f"{BRIDGES}+", "-o", f"{BRIDGES}+", "-j", "DROP")
COMMAND: Final = ("iptables", "-w", "10")
SECONDS: Final = 20.0


class Walls:
    def __init__(self) -> None:
        self._told = False

    async def stand(self) -> None:
        """See to it that the rule is there. Where we may not, it is told once: then the engine's
        own rules are all there is, as for one that runs without root, where no other is."""
        why = await _iptables("-C", *RULE)
        if why and (why := await _iptables("-I", *RULE)) and not self._told:
            self._told = True
            log.warning("replicas are kept apart by the engine alone: %s", why)


async def _iptables(*words: str) -> str:
    """Why it did not do it, or ""."""
    try:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, *words, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
        )
    except OSError as error:
        return f"iptables: {error.strerror}"
    try:
        async with asyncio.timeout(SECONDS):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"iptables took longer than {SECONDS:g} s"
    if process.returncode == 0:
        return ""
    return said.decode("utf-8", "replace").strip() or "iptables failed"
