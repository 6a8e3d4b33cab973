"""One copy of a replica, as its pod shows it. Pure.

A server that ends well is started again inside its container, which nobody here sees. What kubelet
sees is a container that ends with the server's exit code: it waits longer and longer before it
starts the next, and says so in the container's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address
from typing import Final

import msgspec

from services.scheduler.driver import Phase
from services.scheduler.drivers.kubernetes import reasons
from services.scheduler.drivers.kubernetes.manifests.doors import USUAL
from services.scheduler.drivers.kubernetes.manifests.pod import DOOR, DOORMAN, SERVER
from services.scheduler.drivers.kubernetes.objects import (
    ContainerStatus,
    Node,
    Pod,
    State,
    Terminated,
    condition,
    moment,
)
from services.scheduler.drivers.process.supervisor import backoff
from shared.address import Address, at_doorman

STUCK: Final = 30.0  # seconds after its end was due


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    phase: Phase
    reason: str = ""
    address: Address | None = None  # None: nothing may be sent to it
    restarts: int = 0
    failures: int = 0
    exit_code: int | None = None
    since: datetime | None = None
    at: str = ""  # when its last end was, to find the latest of several


def copy(pod: Pod, now: datetime, nodes: Mapping[str, Node]) -> Copy:
    """What is seen of a pod that is not over. `nodes` are those known, by name."""
    server = pod.container(SERVER) or ContainerStatus()
    state, last = server.state or State(), server.last_state or State()
    ended = state.terminated or last.terminated
    restarts = max(0, server.restart_count or 0)
    phase, reason, failures = _life(pod, state, ended, restarts, now)
    if pod.leaving:
        phase = Phase.STARTING if phase is Phase.READY else phase
        reason = _stuck(pod, now) or reason
    elif phase is not Phase.BROKEN and (silent := _silent(pod, nodes)):
        reason = silent
    return Copy(
        phase=phase,
        reason="" if phase is Phase.READY else reason,
        address=_address(pod) if phase is Phase.READY else None,
        restarts=restarts,
        failures=failures,
        exit_code=None if ended is None else reasons.exit_code(ended.exit_code or 0),
        since=_began(state),
        at=(ended and ended.finished_at) or "",
    )


def _life(
    pod: Pod, state: State, ended: Terminated | None, restarts: int, now: datetime
) -> tuple[Phase, str, int]:
    """Phase, reason and failures in a row."""
    failed = ended is not None and bool(ended.exit_code)
    lived = _lived(state, now)
    why = reasons.of_end(ended, _memory(pod)) if ended is not None and failed else ""
    if ended is not None and lived < backoff.HEALTHY:
        if ended.exit_code == backoff.CAN_NEVER_START:
            return Phase.BROKEN, why, max(1, restarts)
        if ended.reason in ("StartError", "ContainerCannotRun"):
            unfit = reasons.unfit(ended.message or "")
            return Phase.BROKEN if unfit else Phase.CRASHING, why, max(1, restarts)
    if pod.ready:
        return Phase.READY, "", 1 if failed and lived < backoff.HEALTHY else 0
    if state.waiting is not None and (told := reasons.of_waiting(state.waiting)) is not None:
        phase, words = told
        if phase is Phase.CRASHING:
            message = state.waiting.message or ""
            return phase, why or "its server ended", reasons.in_a_row(message, restarts)
        return phase, words, 0
    if failed:
        return Phase.CRASHING, why, 1
    return Phase.STARTING, _not_begun(pod), 0


def _not_begun(pod: Pod) -> str:
    """Why its server has not begun yet, as far as that is told."""
    status = pod.status
    scheduled = condition(status, "PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        return reasons.of_place(scheduled)
    for container in (status and status.init_container_statuses) or ():
        state = container.state or State()
        if state.waiting is not None and (told := reasons.of_waiting(state.waiting)) is not None:
            return f"its preparation: {told[1] or 'fails again and again'}"
        if state.terminated is not None and state.terminated.exit_code:
            ended = reasons.of_end(state.terminated, None)
            return f"its preparation failed: {ended}"
    return _doorman(pod)


def _doorman(pod: Pod) -> str:
    """What is wrong with the container of ours that is beside its server."""
    for one in (pod.status and pod.status.container_statuses) or ():
        if one.name == SERVER or one.ready:
            continue
        state = one.state or State()
        if state.waiting is not None and (told := reasons.of_waiting(state.waiting)) is not None:
            return f"its {one.name}: {told[1] or 'ends again and again'}"
    return ""


def _silent(pod: Pod, nodes: Mapping[str, Node]) -> str:
    """Whether the machine under it has stopped answering."""
    node = nodes.get(pod.node)
    if node is None or node.ready:
        return ""
    return reasons.short(f"its machine {pod.node} is not ready")


def _stuck(pod: Pod, now: datetime) -> str:
    due = moment(pod.metadata.deletion_timestamp)
    if due is None or (now - due).total_seconds() < STUCK:
        return ""
    where = f" on the machine {pod.node}" if pod.node else ""
    return reasons.short(f"its copy {pod.metadata.name}{where} does not end")


def _lived(state: State, now: datetime) -> float:
    """Seconds of the life that runs now; 0 when none does."""
    began = _began(state)
    return 0.0 if began is None else (now - began).total_seconds()


def _began(state: State) -> datetime | None:
    return None if state.running is None else moment(state.running.started_at)


def _memory(pod: Pod) -> str | int | float | None:
    for one in (pod.spec and pod.spec.containers) or ():
        if one.name == SERVER and one.resources is not None:
            return (one.resources.limits or {}).get("memory")
    return None


def _address(pod: Pod) -> Address | None:
    try:
        ip = ip_address((pod.status and pod.status.pod_ip) or "")
    except ValueError:
        return None
    return at_doorman(str(ip), _door(pod))


def _door(pod: Pod) -> int:
    """The port where connections for its server come in."""
    for container in (pod.spec and pod.spec.containers) or ():
        for port in container.ports or ():
            if container.name == DOORMAN and port.name == DOOR and port.container_port:
                return port.container_port
    return USUAL.door
