from __future__ import annotations

import pytest

from services.scheduler.health import REST, Health, quarantine

GIB = 1 << 30
HELD = "2048 MiB still held by process 7"


@pytest.mark.parametrize(
    ("health", "why"),
    [
        (Health(), ""),
        (Health(broken="GPU is lost"), "GPU is lost"),
        (Health(doubt="3 errors"), "3 errors"),
        (Health(xid=79), "Xid 79"),
        (Health(broken="GPU is lost", xid=79), "GPU is lost"),
    ],
)
def test_what_is_wrong_with_it_is_why_it_is_given_to_nobody(health, why):
    assert quarantine(health) == why


@pytest.mark.parametrize(
    ("health", "why"),
    [
        (Health(used=2 * GIB, processes=(7,)), HELD),
        (Health(used=2 * GIB), "2048 MiB still held"),  # by what is dead, or can't be seen
        (Health(used=0, processes=(7, 9)), "0 MiB still held by processes 7, 9"),
        (Health(used=100 << 20), ""),
    ],
)
def test_S09_memory_that_is_held_keeps_an_idle_gpu_out(health, why):
    assert quarantine(health, idle=True) == why
    assert quarantine(health, idle=False) == ""


def test_what_holds_it_is_told_once_however_its_use_changes():
    more = Health(used=3 * GIB, processes=(7,))
    assert quarantine(more, before=HELD, idle=True) == HELD
    other = Health(used=3 * GIB, processes=(8,))
    assert quarantine(other, before=HELD, idle=True) == "3072 MiB still held by process 8"
    assert quarantine(Health(), before=HELD, idle=True) == ""


@pytest.mark.parametrize(
    ("recovered", "since", "why"),
    [
        (True, 0.0, ""),
        (False, REST * 9, "Xid 79"),
        (None, REST - 1, "Xid 79"),
        (None, REST, ""),
    ],
)
def test_an_xid_keeps_it_out_until_its_driver_says_that_it_is_well_or_for_a_while(
    recovered, since, why
):
    assert quarantine(Health(recovered=recovered), before="Xid 79", since=since) == why


def test_only_what_is_broken_ends_those_who_use_it():
    assert Health(broken="GPU is lost").fatal == "GPU is lost"
    assert Health(xid=48).fatal == "Xid 48"
    assert Health(doubt="3 errors", used=2 * GIB, processes=(7,)).fatal == ""
