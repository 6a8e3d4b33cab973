from __future__ import annotations

import pynvml  # type: ignore[import-untyped]
import pytest

from services.scheduler.nvidia import LOOKS, Absent, Nvidia, Silent
from tests.scheduler.cards import GIB, PlayedCard, PlayedLibrary


def none():
    library = PlayedLibrary()
    library.error = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
    return library


def split():
    card = PlayedCard("GPU-1", "NVIDIA A100-SXM4-40GB")
    card.mig = True
    card.parts = [PlayedCard(f"MIG-{n}", "NVIDIA A100-SXM4-40GB MIG 1g.5gb") for n in range(2)]
    return PlayedLibrary(card, PlayedCard("GPU-2"))


@pytest.mark.parametrize(
    "library",
    [
        pynvml,
        none(),
        PlayedLibrary(),
        PlayedLibrary(PlayedCard("GPU-1"), PlayedCard("GPU-2")),
        split(),
    ],
    ids=["real", "no driver", "no cards", "two cards", "split"],
)
def test_whatever_there_is_each_look_names_its_cards_or_says_that_there_is_no_driver(library):
    door = Nvidia(library)
    for _ in range(3):
        try:
            cards = door.cards()
        except Absent:
            continue
        named = [card for card in cards if card.uuid]
        assert len({card.uuid for card in named}) == len(named)
        assert all(card.name and 0 <= card.health.used <= card.memory for card in named)
        assert all(card.health.broken or card.health.doubt for card in cards if not card.uuid)


@pytest.fixture
def card():
    return PlayedCard("GPU-1")


@pytest.fixture
def library(card):
    return PlayedLibrary(card, PlayedCard("GPU-2"))


@pytest.fixture
def door(library):
    return Nvidia(library)


def test_L10_a_driver_that_does_not_fit_its_library_says_so_and_is_asked_anew(door, library):
    library.error = pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
    for _ in range(2):
        with pytest.raises(Silent, match=r"(?i)mismatch"):
            door.cards()
    library.error = None
    assert len(door.cards()) == 2


def test_a_driver_that_stops_answering_is_asked_in_a_new_session(door, library):
    door.cards()
    library.error = pynvml.NVML_ERROR_UNKNOWN
    with pytest.raises(Silent):
        door.cards()
    library.error = None
    assert len(door.cards()) == 2
    assert (library.sessions, library.open) == (2, 1)


def test_a_session_lasts_for_many_looks_and_none_is_left_open_beside_it(door, library):
    for _ in range(LOOKS + 1):
        door.cards()
    assert (library.sessions, library.open) == (2, 1)


@pytest.mark.parametrize("error", [pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED])
def test_S08_a_card_that_is_lost_is_broken_and_the_others_are_as_they_were(door, card, error):
    card.error = error
    lost, other = door.cards()
    assert (lost.number, lost.uuid) == (0, "")
    assert lost.health.broken
    assert (other.uuid, other.health.fatal) == ("GPU-2", "")


def test_a_card_that_fails_to_answer_is_doubted_and_not_called_broken(door, card):
    card.error = pynvml.NVML_ERROR_UNKNOWN
    health = door.cards()[0].health
    assert (health.broken, health.doubt.partition(":")[0]) == ("", "it does not answer")


def test_an_xid_is_told_once_of_its_card_and_not_those_that_programs_bring_upon_themselves(
    door, library, card
):
    door.cards()
    library.xids = [(card, 31), (card, 79), (card, 48)]
    assert [each.health.xid for each in door.cards()] == [79, None]
    assert [each.health.xid for each in door.cards()] == [None, None]


def test_S08_an_xid_of_a_card_that_is_lost_with_it_does_not_hide_the_others(door, library, card):
    door.cards()
    library.xids = [(card, 79)]
    card.error = pynvml.NVML_ERROR_GPU_IS_LOST
    lost, other = door.cards()
    assert lost.health.broken
    assert other.uuid == "GPU-2"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("ecc", 2, "2 uncorrectable memory errors since its last reset"),
        ("action", 1, "its driver wants it to be reset"),
        ("remapped", (0, 1, 1, 0), "a broken row of its memory is replaced at its next reset"),
        ("remapped", (0, 9, 0, 1), "it has no spare memory left for rows that are broken"),
        ("remapped", (3, 1, 0, 0), ""),
        ("ecc", None, ""),
    ],
)
def test_what_its_driver_counts_is_a_reason_to_doubt_it(door, card, name, value, why):
    setattr(card, name, value)
    assert door.cards()[0].health.doubt == why


@pytest.mark.parametrize(("action", "recovered"), [(0, True), (1, False), (None, None)])
def test_whether_a_card_has_recovered_is_what_its_driver_says(door, card, action, recovered):
    card.action = action
    assert door.cards()[0].health.recovered is recovered


def test_what_displays_use_is_not_held(door, card):
    card.hold(7, GIB)
    card.showing = {9: GIB // 2}
    card.computing[9] = 0
    card.used += GIB // 2
    health = door.cards()[0].health
    assert (health.used, health.processes) == (GIB, (7,))


def test_L10_a_card_that_is_split_counts_as_its_parts():
    parts = Nvidia(split()).cards()
    assert [(each.number, each.uuid, each.part) for each in parts] == [
        (0, "MIG-0", True),
        (0, "MIG-1", True),
        (1, "GPU-2", False),
    ]


def test_L10_a_card_that_is_to_be_split_and_has_no_parts_says_so(door, card):
    card.mig = True
    assert door.cards()[0].health.doubt == "MIG is on, and it has no parts"
