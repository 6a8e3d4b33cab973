"""Keeps a server alive: starts it, sees it become ready, starts it again when it ends. Or runs a
command to its end, once.

Everything that others may know of it is in `status.json`, which is replaced, never rewritten.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from shared.confine.cgroups import Group

from . import backoff, family, limits, ready
from .forward import Forward
from .output import Output
from .spawn import spawn
from .spec import Spec

CHUNK = 1 << 16
NEVER = "its server said that it can never start (exit code 78)"
BETWEEN = 10.0  # seconds that a ready server may be between two lives and still count as ready


class Keeper:
    def __init__(self, spec: Spec, folder: int, log: int, forward: Forward, group: Group) -> None:
        self._spec = spec
        self._folder = folder
        self._group = group
        self._watch = limits.Watch(spec, folder, group)
        self._over: limits.Limit | None = None  # at which this life was ended
        self._forward = forward
        self._output = Output(log)
        self._pipes = {"stdout": os.pipe(), "stderr": os.pipe()}
        self._process = 0
        self._ended: asyncio.Future[int] | None = None
        self._stopping = asyncio.Event()
        self._ends = backoff.Ends()
        self._status: dict[str, Any] = {"phase": "starting", "once": spec.once}
        self._untold = False  # the driver does not know the status yet

    async def run(self) -> None:
        """Until SIGTERM, and then until nothing of it is left."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        for stream, (out, _) in self._pipes.items():
            os.set_blocking(out, False)
            loop.add_reader(out, self._take, stream)
        beside = (self._settle(), self._hold(self._watch.crowded), self._hold(self._watch.filled))
        tasks = [loop.create_task(each) for each in beside]
        await (self._once() if self._spec.once else self._keep())
        for task in tasks:
            task.cancel()
        await self._alone(0)
        self._drain()

    async def _once(self) -> None:
        """The end is told when nothing of it runs any more; what was stopped has no end to tell."""
        code, _ = await self._live()
        self._drain()
        self._output.end_lines()
        if self._stopping.is_set():
            return
        reason = self._reason(code, "the command") if code or self._over else ""
        self._report(phase="finished", exit_code=self._own(code), reason=reason, since=None)
        while self._untold and not self._stopping.is_set():  # the disk is full: see _settle
            await self._wait(1.0)

    async def _keep(self) -> None:
        while not self._stopping.is_set():
            code, lived = await self._live()
            self._drain()
            self._output.end_lines()
            if self._stopping.is_set():
                return
            following = backoff.after(self._ends, code, lived)
            self._ends = following.ends
            if self._over in limits.LASTING:
                await self._break(code, self._reason(code))
                return
            if isinstance(following, backoff.Never):
                await self._break(code, self._output.complaint or NEVER)
                return
            delay = following.delay * random.uniform(0.75, 1.25)
            self._between(code, delay)
            await self._wait(delay)

    async def _live(self) -> tuple[int, float]:
        """One life of the server: its exit code and how long it lasted."""
        self._ended = asyncio.get_running_loop().create_future()
        self._forward.new_life()
        self._over = None
        began = time.monotonic()
        out, err = (self._pipes[stream][1] for stream in ("stdout", "stderr"))
        self._process = spawn(self._spec, out, err, self._group)
        self._report(since=datetime.now(UTC).isoformat())
        watching = asyncio.create_task(self._await_ready())
        code = await self._ended
        lived = time.monotonic() - began
        watching.cancel()
        self._process = 0
        if not self._stopping.is_set():  # what a life leaves behind must not hold the port
            await self._alone(signal.SIGKILL)
        self._over = self._over or self._watch.refused()
        return code, lived

    async def _alone(self, number: int) -> None:
        """Wait until no process but this one is left, sending them signal `number`."""
        while family.signal_all(number, self._spec.isolated):
            await asyncio.sleep(0.005)
            self._reap()

    async def _hold(self, exceeded: Callable[[], Awaitable[limits.Limit]]) -> None:
        """Who comes to a limit is killed, with all that it started."""
        while True:
            with suppress(OSError):  # too many open files: it is looked at again
                self._over = await exceeded()
                family.signal_all(signal.SIGKILL, self._spec.isolated)
            await asyncio.sleep(limits.EVERY)

    def _own(self, code: int) -> int | None:
        """The exit code of an end that was not our doing."""
        return None if self._over else code

    def _reason(self, code: int, what: str = "its server") -> str:
        if self._over is not None:
            return limits.reason(self._over, self._spec.limits, what)
        return backoff.reason(code, what)

    async def _await_ready(self) -> None:
        try:
            await asyncio.wait_for(ready.wait(self._spec), BETWEEN)
        except TimeoutError:
            if self._status["phase"] == "ready":
                self._report(phase="starting")
            await ready.wait(self._spec)
        self._report(phase="ready", reason="")

    def _between(self, code: int, delay: float) -> None:
        reason = self._reason(code)
        if code != 0 or delay:
            self._output.say(f"{reason}; starting it again in {delay:.1f} s")
        phase = self._status["phase"] if code == 0 else "crashing"
        self._report(
            phase=phase,
            reason=reason if code else self._status.get("reason", ""),
            exit_code=self._own(code),
            restarts=self._ends.restarts,
            failures=self._ends.failures,
        )

    async def _break(self, code: int, reason: str) -> None:
        self._forward.closed = True
        failures = self._ends.failures
        self._report(phase="broken", reason=reason, exit_code=self._own(code), failures=failures)
        await self._stopping.wait()

    async def _wait(self, delay: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay)

    async def _settle(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._output.settle()
            if self._untold:
                self._report()

    def _stop(self) -> None:
        self._stopping.set()
        family.signal_all(signal.SIGTERM, self._spec.isolated)

    def _reap(self) -> None:
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if process == 0:
                return
            if process == self._process and self._ended is not None and not self._ended.done():
                self._ended.set_result(os.waitstatus_to_exitcode(status))

    def _take(self, stream: str) -> bool:
        try:
            chunk = os.read(self._pipes[stream][0], CHUNK)
        except BlockingIOError:
            return False
        self._output.feed(stream, chunk)
        return True

    def _drain(self) -> None:
        """Read what is in the pipes now: at most what fits into them, whoever goes on writing."""
        for stream in self._pipes:
            for _ in range(16):
                if not self._take(stream):
                    break

    def _report(self, **changes: Any) -> None:
        """Tell the driver. On a full disk the server goes on, and it is told a little later."""
        self._status.update(changes)
        try:
            self._write()
            self._untold = False
        except OSError:
            self._untold = True

    def _write(self) -> None:
        file = os.open(
            "status.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=self._folder
        )
        with os.fdopen(file, "w") as content:
            json.dump(self._status, content)
        os.rename("status.new", "status.json", src_dir_fd=self._folder, dst_dir_fd=self._folder)
