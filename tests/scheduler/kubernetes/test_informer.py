"""An informer's picture is true, or says that it is not, whatever its server does."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scheduler.drivers.kubernetes.answers import Event
from services.scheduler.drivers.kubernetes.door import open_cluster
from services.scheduler.drivers.kubernetes.errors import Away, Denied, Expired, Rejected
from services.scheduler.drivers.kubernetes.informer import LONG, RESYNC, WATCH, Informer
from services.scheduler.drivers.kubernetes.kinds import CONFIGMAPS, PODS
from services.scheduler.drivers.kubernetes.metadata import Seen
from services.scheduler.drivers.kubernetes.picture import Picture
from services.scheduler.drivers.kubernetes.wire import Limits
from tests.scheduler.kubernetes.fake import open_fake
from tests.scheduler.kubernetes.script import Script, Watch, bookmark, event, page, thing
from tests.scheduler.kubernetes.storm import storm


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


def names(informer: Informer[Seen]) -> dict[str, str]:
    return {name: seen.metadata.resource_version for (_, name), seen in informer.objects.items()}


async def test_it_lists_then_tells_of_each_change() -> None:
    script = Script(
        [page(10, thing("a", 5))],
        [[event("ADDED", "b", 11), event("MODIFIED", "a", 12), event("DELETED", "b", 13)]],
    )
    informer, told = await script.play()
    assert told == [("a", ">5"), ("b", ">11"), ("a", "5>12"), ("b", "11>")]
    assert names(informer) == {"a": "12"}
    assert script.watched[-1][1] == "13"


async def test_a_list_of_many_pages_is_one_picture() -> None:
    script = Script(
        [page(10, thing("a", 1), token="x"), page(10, thing("b", 2), token="y"), page(10)], []
    )
    informer, _ = await script.play()
    assert names(informer) == {"a": "1", "b": "2"}
    assert script.tokens == ["", "x", "y"]


async def test_k01_a_list_whose_pages_expire_begins_anew_and_shows_no_half() -> None:
    script = Script(
        [page(10, thing("a", 1), token="x"), Expired("too old"), page(20, thing("b", 15))], []
    )
    informer, told = await script.play()
    assert told == [("b", ">15")]
    assert names(informer) == {"b": "15"}
    assert min(gaps(script.listed)) >= 1.0


async def test_k01_what_went_while_nothing_was_heard_is_told() -> None:
    script = Script(
        [
            page(10, thing("a", 5), thing("b", 6), thing("c", 7)),
            page(20, thing("a", 5), thing("c", 15, "uid-of-another")),
        ],
        [[event("MODIFIED", "b", 11), Expired("too old")]],
    )
    informer, told = await script.play()
    assert told[3:] == [("b", "6>11"), ("b", "11>"), ("c", "7>15")]
    assert names(informer) == {"a": "5", "c": "15"}


async def test_k01_a_server_that_always_says_expired_is_listed_once_a_second_at_most() -> None:
    script = Script([page(10)], [[Expired("too old")] for _ in range(30)])
    informer, _ = await script.play()
    assert min(gaps(script.listed)) >= 1.0
    assert informer.lists == len(script.listed) == 31
    # and, since that helps nobody, more and more seldom
    assert gaps(script.listed)[-1] > 2.0


async def test_k01_watches_that_end_at_once_and_say_nothing_lead_to_lists_with_pauses() -> None:
    empty: Watch = []
    script = Script([page(10), page(20, thing("a", 15))], [empty] * 40)
    informer, told = await script.play()
    assert told == [("a", ">15")]
    assert min(gaps(script.listed)) >= 1.0
    assert min(gaps([at for at, _ in script.watched])) >= 1.0
    assert 1 < informer.lists <= 21


async def test_k01_watches_that_are_closed_each_few_seconds_are_only_opened_again() -> None:
    watches: list[Watch] = [
        [1.0 + number % 5, event("ADDED", f"a-{number}", 11 + number)] for number in range(50)
    ]
    informer, told = await (script := Script([page(10)], watches)).play()
    assert len(told) == 50
    assert informer.lists == 1
    assert [version for _, version in script.watched] == [str(10 + n) for n in range(51)]


async def test_watches_that_each_repeat_an_old_event_and_end_are_no_busy_loop() -> None:
    watches: list[Watch] = [[event("MODIFIED", "a", 5)]] * 50
    script = Script([page(10, thing("a", 5))], watches)
    await script.play()
    assert min(gaps([at for at, _ in script.watched])) >= 1.0


async def test_k02_a_watch_that_breaks_off_is_begun_again_where_it_was() -> None:
    script = Script([page(10)], [[bookmark(17), 20.0, Away("reset")], [bookmark(18)]])
    informer, _ = await script.play()
    assert [version for _, version in script.watched] == ["10", "17", "18"]
    assert informer.lists == 1


async def test_k02_after_a_long_silence_a_list_says_at_once_how_things_are() -> None:
    silent = Limits().silence
    script = Script(
        [page(10), page(20, thing("a", 15))], [[bookmark(17), silent, Away("no word in time")]]
    )
    _, told = await script.play()
    assert told == [("a", ">15")]
    assert script.listed[1] - script.listed[0] < 35
    assert min(gaps(script.listed)) >= 1.0
    assert WATCH < LONG < silent


async def test_a_fault_of_ours_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    script = Script([page(10), page(20, thing("a", 15))], [[ValueError("a mistake")]])
    informer, _ = await script.play()
    assert names(informer) == {"a": "15"}
    assert "a mistake" in caplog.text


async def test_k02_a_picture_is_fresh_only_while_the_server_is_heard() -> None:
    script = Script([page(10)], [[bookmark(11), 20.0, Away("away")], [Away("away")]])
    informer, _ = await script.play()
    assert not informer.fresh(15)
    assert informer.fresh(30)
    assert informer.trouble == "away"
    script.now += 30
    assert not informer.fresh(30)


async def test_a_picture_that_was_never_complete_is_not_fresh() -> None:
    script = Script([page(10, token="x"), Away("away"), page(10)], [])
    told: list[bool] = []
    informer: Informer[Seen] = Informer(
        script, CONFIGMAPS, Seen, clock=script.clock, sleep=script.sleep
    )
    told.append(informer.fresh(1e9))
    running = asyncio.create_task(informer.run())
    await script.over.wait()
    told.append(informer.fresh(1e9))
    running.cancel()
    assert told == [False, True]


async def test_a_quiet_watch_that_lasts_as_long_as_agreed_keeps_the_picture_fresh() -> None:
    script = Script([page(10)], [[50.0], [50.0]])
    informer, _ = await script.play()
    assert informer.fresh(5)
    assert informer.lists == 1


async def test_k03_news_that_come_twice_late_or_from_long_ago_change_nothing() -> None:
    script = Script(
        [page(10, thing("a", 5), thing("b", 9))],
        [
            [
                event("MODIFIED", "a", 12),
                event("MODIFIED", "a", 12),  # twice
                event("MODIFIED", "a", 11),  # out of order
                event("MODIFIED", "a", 4),  # as it once was
                event("DELETED", "a", 3, "uid-before"),  # an earlier one of that name
                event("DELETED", "a", 3),
                event("ADDED", "gone-before-the-list", 8),
                event("DELETED", "b", 14),
                event("MODIFIED", "b", 13),  # it does not come back
                event("ADDED", "b", 15, "uid-after"),
                event("MODIFIED", "a", 4),
            ]
        ],
    )
    informer, told = await script.play()
    assert told[2:] == [("a", "5>12"), ("b", "9>"), ("b", ">15")]
    assert names(informer) == {"a": "12", "b": "15"}
    assert script.watched[-1][1] == "15"


async def test_k03_one_that_was_replaced_unseen_is_told_as_another() -> None:
    picture: Picture[Seen] = Picture()
    picture.replace([thing("a", 5, "one")], "10")
    change = picture.take(event("ADDED", "a", 12, "two"))
    assert change
    assert change.before
    assert change.after
    assert (change.before.metadata.uid, change.after.metadata.uid) == ("one", "two")


async def test_versions_that_are_no_numbers_are_believed_in_their_order() -> None:
    script = Script(
        [page("x", thing("a", "q"))],
        [
            [
                event("MODIFIED", "a", "p"),
                event("MODIFIED", "a", "p"),
                event("DELETED", "a", "z", "uid-before"),
                event("DELETED", "a", "b"),
            ]
        ],
    )
    informer, told = await script.play()
    assert told == [("a", ">q"), ("a", "q>p"), ("a", "p>")]
    assert names(informer) == {}
    assert script.watched[-1][1] == "b"


@settings(deadline=None, max_examples=200)
@given(
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=12),
    noise=st.data(),
)
def test_k03_however_news_are_repeated_and_replayed_the_picture_is_the_truth(
    steps: list[tuple[str, bool]], noise: st.DataObject
) -> None:
    truth: dict[str, str] = {}
    news: list[Event[Seen]] = []
    uids = dict.fromkeys("abc", 0)
    for version, (name, gone) in enumerate(steps, start=11):
        if gone and name not in truth:
            continue
        if gone:
            del truth[name]
            news.append(event("DELETED", name, version, f"{name}-{uids[name]}"))
        else:
            uids[name] += name not in truth
            type = "MODIFIED" if name in truth else "ADDED"
            truth[name] = str(version)
            news.append(event(type, name, version, f"{name}-{uids[name]}"))
    picture: Picture[Seen] = Picture()
    picture.replace([], "10")
    for number, new in enumerate(news):
        picture.take(new)
        again = noise.draw(st.integers(0, number))
        picture.take(news[again])
    assert {
        key[1]: seen.metadata.resource_version for key, seen in picture.objects.items()
    } == truth


async def test_k05_trouble_is_met_with_longer_and_longer_pauses_and_ends() -> None:
    refusals = [Away("500"), Away("503"), Denied("no"), Rejected("no such selector")]
    script = Script([*refusals, *refusals, page(10, thing("a", 5))], [])
    informer, _ = await script.play()
    assert names(informer) == {"a": "5"}
    assert script.now - 1000 < 60
    assert min(gaps(script.listed)) >= 1.0
    assert informer.trouble == ""


async def test_k05_a_server_that_asks_for_time_gets_it_within_reason() -> None:
    script = Script(
        [page(10)],
        [[Away("busy", status=429, retry_after=7)], [Away("busy", retry_after=99_999)]],
    )
    await script.play()
    first, second = gaps([at for at, _ in script.watched])
    assert 7 <= first < 9
    assert 10 <= second < 12


async def test_once_in_a_while_all_is_listed_though_nothing_went_wrong() -> None:
    watches: list[Watch] = [[50.0, bookmark(11)] for _ in range(20)]
    script = Script([page(10, thing("a", 5)), page(12, thing("a", 5))], watches)
    informer, told = await script.play()
    assert told == [("a", ">5")]
    assert informer.lists == 4
    assert all(RESYNC <= gap <= RESYNC + 60 for gap in gaps(script.listed))


async def test_k10_five_thousand_pods_and_a_large_one_are_one_picture(tmp_path: Path) -> None:
    async with (
        open_fake(tmp_path) as fake,
        open_cluster(
            str(fake.kubeconfig), "", fake.namespace, Limits(rate=1000.0, watch_line=2 << 20)
        ) as cluster,
    ):
        for number in range(5000):
            fake.add(
                PODS,
                f"p-{number}",
                spec={"containers": [], "nodeName": "x"},
                status={"phase": "Failed"},
            )
        heard = asyncio.Event()
        informer: Informer[Seen] = Informer(
            cluster,
            PODS,
            Seen,
            everywhere=True,
            changed=lambda change: heard.set() if change.before is None else None,
        )
        running = asyncio.create_task(informer.run())
        await informer.synced.wait()
        assert len(informer.objects) == 5000
        heard.clear()
        large = {"large": "x" * 1_500_000}
        fake.add(
            PODS,
            "large",
            metadata={"annotations": large},
            spec={"containers": [], "nodeName": "x"},
            status={"phase": "Failed"},
        )
        await heard.wait()
        assert len(informer.objects) == 5001
        assert fake.server.requests["list", "pods"] == 10
        running.cancel()


@pytest.mark.parametrize("seed", [1, 2])
async def test_k01_to_k06_pictures_are_true_after_a_storm(tmp_path: Path, seed: int) -> None:
    report = await storm(8.0, seed, tmp_path, every=0.25)
    assert report.differences == []
    assert report.hurried == []
    assert sum(report.faults.values()) >= 12
