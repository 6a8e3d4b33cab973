"""What a cluster says of a copy, as one line for a person, and whether it is for good. Pure.

Kubelet, scheduler and controllers say much of this in words alone, which differ a little from
version to version: what is not known here is passed on as it was said.
"""

from __future__ import annotations

import re
from typing import Final

from services.scheduler.driver import Phase
from services.scheduler.drivers.kubernetes.errors import shown
from services.scheduler.drivers.kubernetes.objects import Condition, PodStatus, Terminated, Waiting
from services.scheduler.drivers.kubernetes.quantity import size
from services.scheduler.drivers.process.supervisor import backoff

LONGEST: Final = 300  # characters of a reason

_GONE: Final = (
    *("not found", "manifest unknown", "name unknown", "repository does not exist"),
    *("401 unauthorized", "403 forbidden", "pull access denied", "requested access"),
    *("authorization failed", "insufficient_scope", "authentication required", "no basic auth"),
)
_PASSING: Final = (
    *("timeout", "timed out", "deadline", "connection refused", "connection reset", "no such host"),
    *("dial tcp", "too many requests", "429", "500 ", "502", "503", "504", "eof", "unreachable"),
    *("temporary", "pull qps", "no space left"),
)
_UNFIT: Final = ("executable file not found", 'exec: "', "no such file or directory", "exec format")

_PULL: Final = "its image can't be pulled"
_MADE: Final = "its container can't be made"
_WAITING: Final = {
    "ErrImagePull": (Phase.STARTING, _PULL),
    "ImagePullBackOff": (Phase.STARTING, _PULL),
    "RegistryUnavailable": (Phase.STARTING, _PULL),
    "ImageInspectError": (Phase.STARTING, _PULL),
    "InvalidImageName": (Phase.BROKEN, "its image has no valid name"),
    "ErrImageNeverPull": (Phase.BROKEN, "its image is not on its machine, which may not pull it"),
    "SignatureValidationFailed": (Phase.BROKEN, "its image's signature is not accepted"),
    "CreateContainerConfigError": (Phase.STARTING, _MADE),
    "CreateContainerError": (Phase.STARTING, _MADE),
    "CreatePodSandboxError": (Phase.STARTING, _MADE),
    "RunContainerError": (Phase.STARTING, "its container can't be started"),
    "PreStartHookError": (Phase.STARTING, "its container can't be started"),
    "PostStartHookError": (Phase.STARTING, "its container can't be started"),
    "CrashLoopBackOff": (Phase.CRASHING, ""),
}
"""What a container waits for, by its reason. Others (ContainerCreating) are no news."""

_ENDED: Final = {
    "Evicted": "was evicted",
    "Preempting": "gave way to something more urgent",
    "Preempted": "gave way to something more urgent",
    "UnexpectedAdmissionError": "was not let onto its machine",
    "OutOfcpu": "found no CPU left on its machine",
    "OutOfmemory": "found no memory left on its machine",
    "OutOfpods": "found no room left on its machine",
    "OutOfnvidia.com/gpu": "found no GPU left on its machine",
    "NodeAffinity": "may not be on its machine any more",
    "NodeLost": "was on a machine that does not answer",
    "NodeShutdown": "was on a machine that was shut down",
    "Shutdown": "was on a machine that was shut down",
    "Terminated": "was on a machine that was shut down",
    "DeadlineExceeded": "ran out of its time",
}
"""Why a pod failed as a whole, by its reason."""

_BACK_OFF: Final = re.compile(r"back-off (?:(\d+)m)?(?:(\d+)s)? ")


def of_waiting(waiting: Waiting) -> tuple[Phase, str] | None:
    """What it means that a container waits; None when it only has not begun yet."""
    reason, message = waiting.reason or "", waiting.message or ""
    if reason not in _WAITING:
        return None
    phase, words = _WAITING[reason]
    if words == _PULL and reason in ("ErrImagePull", "ImagePullBackOff") and for_good(message):
        phase = Phase.BROKEN
    if reason == "CreateContainerConfigError" and "run as root" in message:
        phase = Phase.BROKEN
    if reason in ("CreateContainerError", "RunContainerError") and unfit(message):
        phase = Phase.BROKEN
    return phase, said(words, message) if words else ""


def for_good(message: str) -> bool:
    """Whether a registry said that it has no such image, or not for us.

    >>> for_good("failed to resolve reference: unexpected status code: 403 Forbidden")
    True
    >>> for_good("dial tcp: lookup registry: no such host"), for_good("Back-off pulling image")
    (False, False)
    """
    text = message.lower()
    return any(word in text for word in _GONE) and not any(word in text for word in _PASSING)


def unfit(message: str) -> bool:
    """Whether there is no such program in the image, or not for this machine."""
    text = message.lower()
    return any(word in text for word in _UNFIT)


def in_a_row(message: str, restarts: int) -> int:
    """How many lives ended in failure, by how long kubelet waits now: twice as long each time.

    It starts the second life at once, and forgets after ten minutes of life. The first wait is of
    10 s, or of 1 s where a newer kubelet is told so.

    >>> [in_a_row(f"back-off {wait} restarting failed container=server", 99)
    ...  for wait in ("10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "4s")]
    [2, 3, 4, 5, 6, 7, 4]
    >>> in_a_row("back-off 40s restarting", 1), in_a_row("something else", 3)
    (2, 1)
    """
    found = _BACK_OFF.search(message)
    if found is None:
        return min(1, restarts)
    seconds = int((found[1] or "0")[:4]) * 60 + int((found[2] or "0")[:4])
    first = 10 if seconds % 10 == 0 and seconds != 60 else 1
    return min(restarts + 1, 2 + max(0, (seconds + first - 1) // first - 1).bit_length())


def of_end(ended: Terminated, limit: str | int | float | None) -> str:
    """Why a life of the server ended; `limit` is that of its memory."""
    code = exit_code(ended.exit_code or 0)
    if ended.reason == "OOMKilled":
        return f"killed for want of memory (its limit is {size(limit)})"
    if ended.reason in ("StartError", "ContainerCannotRun"):
        return said("its container can't be started", ended.message or "")
    if code == backoff.CAN_NEVER_START:
        return last_word(ended.message or "")
    if code == -9:  # what ran it was not killed, so nobody says why
        return f"killed (SIGKILL), perhaps for want of memory (its limit is {size(limit)})"
    return backoff.reason(code)


def last_word(message: str) -> str:
    """What a server said of why it can never start: the last line that begins with `slipway: `.

    >>> last_word("Traceback\\nslipway: no module app\\n")
    'no module app'
    """
    lines = [line.strip() for line in message.splitlines()]
    found = [line.removeprefix("slipway: ") for line in lines if line.startswith("slipway: ")]
    return short(found[-1]) if found else "its server said that it can never start (exit code 78)"


def of_failed(status: PodStatus) -> str:
    """Why a pod as a whole has failed, without its name."""
    reason = status.reason or ""
    disrupted = next(
        (one for one in status.conditions or () if one.type == "DisruptionTarget"), None
    )
    if disrupted is not None and disrupted.reason == "PreemptionByScheduler":
        return said(_ENDED["Preempted"], disrupted.message or "")
    words = _ENDED.get(reason, f"failed ({reason})" if reason else "failed")
    return said(words, status.message or "")


def of_place(scheduled: Condition) -> str:
    """Why a pod has no machine yet."""
    return said("no place for it in the cluster", scheduled.message or scheduled.reason or "")


def of_refused_pods(failure: Condition) -> tuple[Phase, str]:
    """Why a cluster does not let a Deployment have its pods."""
    message = failure.message or failure.reason or ""
    quota = "exceeded quota" in message
    never = not quota and ("violates PodSecurity" in message or "is invalid" in message)
    words = "the cluster does not allow its pods"
    return Phase.BROKEN if never else Phase.STARTING, said(words, message)


def exit_code(code: int) -> int:
    """As drivers say it: shells call the end by signal N 128 + N.

    >>> exit_code(3), exit_code(137), exit_code(255)
    (3, -9, 255)
    """
    return 128 - code if 128 < code <= 128 + 64 else code


def said(words: str, message: str) -> str:
    """`words`, and what was said of it, on one line that is not too long."""
    return short(f"{words}: {message.rstrip('. ')}" if message.strip() else words)


def short(text: str) -> str:
    line = shown(text)
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
