"""Sees every change of a fake cluster, and which of them nobody had asked for."""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

from services.scheduler.drivers.kubernetes.kinds import Kind
from services.scheduler.drivers.kubernetes.manifests import names
from tests.scheduler.kubernetes.fake import Fake
from tests.scheduler.kubernetes.fake.store import Object

WINDOW: Final = 10.0  # seconds in which lists are counted
SLACK: Final = 2  # lists more than seconds: a window has two ends


class Referee:
    def __init__(self, fake: Fake) -> None:
        self._store = fake.store
        self._may_go: set[str] = set()  # Deployments, by name
        self._may_roll: set[str] = set()
        self.wrong: list[str] = []
        tell = fake.store._tell

        def told(plural: str, before: Object | None, after: Object | None) -> None:
            if plural == "deployments":
                self._saw(before, after)
            tell(plural, before, after)

        fake.store._tell = told  # type: ignore[method-assign]
        self._lists: dict[tuple[str, str, str], list[float]] = {}
        lists = fake.server._api.list

        def listed(kind: Kind, namespace: str, query: dict[str, str]) -> Object:
            self._listed(kind.plural, query)
            return lists(kind, namespace, query)

        fake.server._api.list = listed  # type: ignore[method-assign]

    def may_go(self, replica: str) -> None:
        """Its owner stopped it, or somebody deleted it by hand."""
        self._may_go.add(replica)

    def may_roll(self, replica: str) -> None:
        """Somebody edited it by hand."""
        self._may_roll.add(replica)

    def _saw(self, before: Object | None, after: Object | None) -> None:
        if before is None:
            return
        name = before["metadata"]["name"]
        if after is None and name not in self._may_go:
            self.wrong.append(f"{name} was healthy and wanted, and is deleted")
        if after is None or name in self._may_roll:
            return
        if after["spec"]["template"] != before["spec"]["template"]:
            self.wrong.append(f"{name} was changed, so that its pods begin anew")

    def hurried(self) -> list[str]:
        """What was listed anew more than once a second."""
        worst = {what: max(_within(times)) for what, times in self._lists.items()}
        return [
            f"all {plural} were listed {count} times in {WINDOW:.0f} s"
            for (plural, *_), count in worst.items()
            if count > WINDOW + SLACK
        ]

    @property
    def lists(self) -> int:
        return sum(len(times) for times in self._lists.values())

    def _listed(self, plural: str, query: dict[str, str]) -> None:
        """One replica's own objects are looked at when it ends: that is no list of all."""
        selector = query.get("labelSelector", "")
        if "continue" not in query and f"{names.REPLICA}=" not in selector:
            times = self._lists.setdefault((plural, selector, query.get("fieldSelector", "")), [])
            times.append(time.monotonic())

    def replicas(self) -> Counter[str]:
        """How many objects there are of each replica."""
        return Counter(
            labels[names.REPLICA]
            for each in self._store.objects.values()
            if names.REPLICA in (labels := each["metadata"].get("labels") or {})
        )


def _within(times: list[float]) -> list[int]:
    """How many of them are in the window that each of them begins."""
    return [sum(at <= other < at + WINDOW for other in times) for at in times]
