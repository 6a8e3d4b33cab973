"""What things are called, and the labels by which they are found again: always valid, and the same
for the same workload."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from services.scheduler.driver import Replica, Workload

MANAGER: Final = "slipway"  # also the field manager

MANAGED: Final = "app.kubernetes.io/managed-by"
PLATFORM: Final = "slipway.dev/platform"
REPLICA: Final = "slipway.dev/replica"
JOB: Final = "slipway.dev/job"
ATTEMPT: Final = "slipway.dev/attempt"
OWNER: Final = "slipway.dev/owner"
PROJECT: Final = "slipway.dev/project"
ENDPOINT: Final = "slipway.dev/endpoint"

_VALUE: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_SHORTENED: Final = re.compile(r".*\.[0-9a-f]{16}", re.DOTALL)


def name(replica: Replica) -> str:
    """Of everything that one replica is made of."""
    return str(replica)


def label(text: str) -> str:
    """A value for a label that no other text has; the text itself where that is possible.

    >>> label("alice"), label("Ä/b c")
    ('alice', 'b-c.9b89d23ce3b93c25')
    """
    if _VALUE.fullmatch(text) and not _SHORTENED.fullmatch(text):
        return text
    readable = re.sub(r"[^A-Za-z0-9]+", "-", text)[:40].strip("-") or "x"
    return f"{readable}.{_hash(text)}"


def owner_and_project(project: str) -> dict[str, str]:
    """Labels of whatever belongs to a project, which is `owner/name`."""
    owner, _, called = project.partition("/")
    return {OWNER: label(owner), PROJECT: label(called)}


def ours(platform: str) -> dict[str, str]:
    """Labels of whatever a platform has made."""
    return {MANAGED: MANAGER, PLATFORM: label(platform)}


def selector(platform: str, replica: Replica) -> dict[str, str]:
    """Labels that only the pods of one replica have."""
    return {PLATFORM: label(platform), REPLICA: name(replica)}


def labels(platform: str, workload: Workload) -> dict[str, str]:
    """Of everything that one replica is made of."""
    replica = workload.replica
    return {
        **ours(platform),
        REPLICA: name(replica),
        JOB: replica.job,
        ATTEMPT: str(replica.attempt),
        ENDPOINT: label(workload.endpoint.name),
        **owner_and_project(workload.project),
    }


def written(workload: Workload) -> dict[str, str]:
    """The names as people wrote them."""
    return {PROJECT: workload.project, ENDPOINT: workload.endpoint.name}


def policy(platform: str, project: str) -> str:
    """The name of what is made once for a project, not for each of its replicas."""
    return f"project-{_hash(f'{platform}/{project}')}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
