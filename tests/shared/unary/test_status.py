"""Whether a runtime serves, as it says itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from shared.unary.status import Away, NotServing, Serving, ask, said
from tests.shared.unary.peer import DONE, OK, Peer, Script, foe, plain


def rejecting(status: int, message: str) -> Script:
    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        assert request.headers[":path"] == "/tensorflow.serving.PredictionService/Status"
        assert request.message == b""
        pairs = (("grpc-status", str(status)), ("grpc-message", message))
        peer.send(peer.tail(request.stream, (*OK, *pairs)))

    return script


async def bare(peer: Peer) -> None:
    await peer.greet()
    request = await peer.request()
    peer.send(peer.head(request.stream), peer.tail(request.stream, DONE))


async def hanging(peer: Peer) -> None:
    await peer.greet()
    await peer.to_the_end()


async def gone(peer: Peer) -> None:
    peer.close()


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (plain(b"\x08\x01"), Serving()),
        (plain(b"\x08\x01\x12\x02ok"), Serving()),
        (rejecting(12, "Method not found!"), Serving()),
        (plain(b""), NotServing("UNKNOWN")),
        (plain(b"\x08\x00\x12\x04what"), NotServing("UNKNOWN: what")),
        (
            plain(b"\x08\x02\x12\x0fno func_main\xc3\xa4\x00"),
            NotServing("NOT_SERVING: no func_mainä�"),
        ),
        (rejecting(13, "broken"), NotServing("INTERNAL: broken")),
        (rejecting(14, ""), NotServing("UNAVAILABLE")),
        (plain(b"\x08"), Away("Its answer to Status is not a StatusResponse.")),
        (bare, Away("Its answer is OK, and has no whole message.")),
        (hanging, Away("It did not answer in time.")),
        (gone, Away("It closed the connection.")),
    ],
)
async def test_a_runtime_serves_or_says_why_not(
    script: Script, found: Serving | NotServing | Away
) -> None:
    async with foe(script) as server:
        seconds = 0.2 if script is hanging else 60
        assert await ask(server.address, (), seconds) == found


async def test_nobody_is_away() -> None:
    async with foe(plain()) as server:
        pass
    assert await ask(server.address, (), 60) == Away("It refuses connections.")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("0801", Serving()),
        ("08021801", NotServing("NOT_SERVING")),  # and fields that we do not know
        ("2101020304050607080801", Serving()),
        ("2d010203040801", Serving()),
        ("08020801", Serving()),  # the last one counts
        ("88808080808080808000" + "01", Serving()),
        ("08ffffffffffffffffff01", NotServing("UNKNOWN")),
    ],
)
def test_a_status_is_read_from_its_bytes(answer: str, found: object) -> None:
    assert said(bytes.fromhex(answer)) == found


@pytest.mark.parametrize("answer", ["08", "0880", "1205ab", "0001", "21", "0b", "08" + "ff" * 20])
def test_bytes_that_are_no_status_are_told_apart(answer: str) -> None:
    assert isinstance(said(bytes.fromhex(answer)), Away)


@given(st.binary(max_size=100))
@how(deadline=None)
def test_any_bytes_mean_something(answer: bytes) -> None:
    assert isinstance(said(answer), Serving | NotServing | Away)
