"""What nobody should send, and the 4xx problem that names what is wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import pytest

from services.api import body
from shared.errors import Invalid
from tests.api.conftest import World, tar

V = "/v1/projects/ann/house/deployments/mnist/versions"
E = "/v1/projects/ann/house/endpoints"
P = "/v1/projects"
NOWHERE = "sha256:" + "0" * 64


class Bad(NamedTuple):
    what: str
    method: str
    path: str
    sent: Any  # bytes as they are, anything else as JSON
    status: int
    problem: str
    field: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})


JSON = (
    Bad("not JSON", "POST", P, b"{name}", 400, "malformed"),
    Bad("no body", "POST", P, b"", 400, "malformed"),
    Bad("half an object", "POST", P, b'{"name": "a"', 400, "malformed"),
    Bad("more than one value", "POST", P, b"{} {}", 400, "malformed"),
    Bad("a byte order mark", "POST", P, b'\xef\xbb\xbf{"name":"a"}', 400, "malformed"),
    Bad("invalid UTF-8", "POST", P, b'{"name": "\xff"}', 400, "malformed"),
    Bad("an overlong form", "POST", P, b'{"name": "\xc0\x80"}', 400, "malformed"),
    Bad("UTF-16", "POST", P, '{"name":"a"}'.encode("utf-16"), 400, "malformed"),
    Bad("a key twice", "POST", P, b'{"name": "a", "name": "b"}', 400, "malformed"),
    Bad("NaN", "POST", P, b'{"name": NaN}', 400, "malformed"),
    Bad("a million brackets", "POST", P, b"[" * 1_000_000, 400, "malformed"),
    Bad("nested objects", "POST", P, b'{"a":' * 100_000, 400, "malformed"),
    Bad("a raw control character", "POST", P, b'{"name": "a\nb"}', 400, "malformed"),
    Bad("NUL", "POST", P, b'{"name": "a\\u0000"}', 422, "invalid", "name"),
    Bad("NUL deep inside", "POST", E, {"environment": {"env": [{"key": "a\0"}]}}, 422, "invalid", "environment.env[0].key"),
    Bad("a lone surrogate", "POST", P, b'{"name": "\\ud800"}', 422, "invalid", "name"),
    Bad("a surrogate in a key", "POST", P, b'{"\\udc00": 1}', 422, "invalid", ""),
    Bad("an integer beyond 64 bits", "POST", E, {"name": "a", "resources": {"gpu_count": 2**63}}, 422, "invalid", "resources.gpu_count"),
    Bad("ten thousand digits", "POST", E, b'{"name":"a","resources":{"gpu_count":' + b"9" * 10_000 + b"}}", 422, "invalid", "resources.gpu_count"),
    Bad("1e400", "POST", E, b'{"name":"a","resources":{"max_price":1e400}}', 422, "invalid", "resources.max_price"),
    Bad("a list", "POST", P, [], 422, "invalid", ""),
    Bad("a null", "POST", P, b"null", 422, "invalid", ""),
    Bad("a million elements", "POST", P, b"[" + b"1," * 400_000 + b"1]", 422, "invalid", ""),
    Bad("more than a megabyte", "POST", P, b'"' + b"x" * (1 << 20) + b'"', 413, "too-large"),
    Bad("the wrong content type", "POST", P, b"name=a", 415, "unsupported-media-type", None, {"Content-Type": "application/x-www-form-urlencoded"}),
    Bad("another charset", "POST", P, b'{"name":"a"}', 415, "unsupported-media-type", None, {"Content-Type": "application/json; charset=latin-1"}),
    Bad("gzip", "POST", P, b"\x1f\x8b", 415, "unsupported-media-type", None, {"Content-Encoding": "gzip"}),
    Bad("a body for a GET", "GET", P, b"{}", 400, "bad-request"),
)  # fmt: skip

FIELDS = (
    Bad("an unknown field", "POST", P, {"name": "a", "owner_id": 1}, 422, "invalid", "owner_id"),
    Bad("a field that is not to be set", "POST", V, {"source": NOWHERE, "state": "ready"}, 422, "invalid", "state"),
    Bad("no name", "POST", P, {}, 422, "invalid", "name"),
    Bad("an upper-case name", "POST", P, {"name": "House"}, 422, "invalid", "name"),
    Bad("a name of 64 characters", "POST", P, {"name": "a" * 64}, 422, "invalid", "name"),
    Bad("a confusable name", "POST", P, {"name": "h\u043euse"}, 422, "invalid", "name"),
    Bad("dots for a name", "POST", P, {"name": ".."}, 422, "invalid", "name"),
    Bad("a name with a line end", "POST", P, {"name": "a\n"}, 422, "invalid", "name"),
    Bad("a number for a name", "POST", P, {"name": 7}, 422, "invalid", "name"),
    Bad("a reserved owner", "POST", "/v1/owners", {"name": "metrics"}, 422, "invalid", "name"),
    Bad("an unknown target", "POST", "/v1/projects/ann/house/deployments", {"name": "a", "target": "moon"}, 422, "invalid", "target"),
    Bad("a source that is no digest", "POST", V, {"source": "x"}, 422, "invalid", "source"),
    Bad("a source that nobody uploaded", "POST", V, {"source": NOWHERE}, 422, "invalid", "source"),
    Bad("a bad version name", "POST", V, {"source": NOWHERE, "name": "../x"}, 422, "invalid", "name"),
    Bad("a bad file digest", "POST", V, {"source": NOWHERE, "files": {"digit": {"model": "y"}}}, 422, "invalid", "files.digit.model"),
    Bad("a serving option out of range", "POST", V, {"source": NOWHERE, "serving": {"digit": {"concurrency": 0}}}, 422, "invalid", "serving.digit.concurrency"),
    Bad("a role that is none", "POST", "/v1/owners/ann/tokens", {"role": "root"}, 422, "invalid", "role"),
    Bad("a time without a zone", "POST", "/v1/owners/ann/tokens", {"expires_at": "2030-01-01T00:00:00"}, 422, "invalid", "expires_at"),
    Bad("too many GPUs", "POST", E, {"name": "a", "resources": {"gpu_count": 10_001}}, 422, "invalid", "resources.gpu_count"),
    Bad("a negative disk", "POST", E, {"name": "a", "resources": {"disk_size": -1}}, 422, "invalid", "resources.disk_size"),
    Bad("a job that is no endpoint", "POST", E, {"name": "a", "type": "training"}, 422, "invalid", "type"),
    Bad("a slash in a name", "POST", E, {"name": "a/b"}, 422, "invalid", "name"),
    Bad("an alias that is no name", "PUT", "/v1/projects/ann/house/deployments/mnist/aliases/A_B", {"version": "v"}, 422, "invalid", "alias"),
)  # fmt: skip

ADDRESSES = (
    Bad("an unknown path", "GET", "/v1/nothing", None, 404, "not-found"),
    Bad("another method", "DELETE", "/v1/jobs", None, 405, "method-not-allowed"),
    Bad("an unknown job", "GET", "/v1/jobs/j000000000000", None, 404, "not-found"),
    Bad("NUL in a path", "GET", "/v1/jobs/a%00b", None, 404, "not-found"),
    Bad("dots in a path", "GET", "/v1/jobs/%2e%2e%2fx", None, 404, "not-found"),
    Bad("a long path", "GET", "/v1/jobs/" + "a" * 4000, None, 404, "not-found"),
    Bad("a forged cursor", "GET", "/v1/jobs?after=AAAAAAAAAAAA", None, 422, "invalid", "after"),
    Bad("a cursor that is no base64", "GET", "/v1/jobs?after=%F0%9F%99%82", None, 422, "invalid", "after"),
    Bad("a place in a log that is none", "GET", "/v1/events?after=%00", None, 422, "invalid", "after"),
    Bad("a limit that is no number", "GET", "/v1/jobs?limit=many", None, 422, "invalid", "limit"),
    Bad("an unknown state", "GET", "/v1/jobs?state=asleep", None, 422, "invalid", "state"),
    Bad("an unknown question", "GET", "/v1/jobs?states=queued", None, 422, "invalid", "states"),
    Bad("a question twice", "GET", "/v1/jobs?limit=1&limit=2", None, 400, "bad-request"),
    Bad("NUL in a question", "GET", "/v1/jobs?name=a%00b", None, 422, "invalid", "name"),
    Bad("a key with a control character", "POST", P, {"name": "z"}, 422, "invalid", "Idempotency-Key", {"Idempotency-Key": "a\tb"}),
    Bad("a key of 256 characters", "POST", P, {"name": "z"}, 422, "invalid", "Idempotency-Key", {"Idempotency-Key": "k" * 256}),
    Bad("an Expect that nobody knows", "POST", P, {"name": "z"}, 417, "expectation-failed", None, {"Expect": "miracles"}),
)  # fmt: skip


async def test_bad_input_is_told_apart_and_leaves_nothing(world: World) -> None:
    counts = "SELECT (SELECT count(*) FROM projects), (SELECT count(*) FROM events)"
    before = tuple(await world.database.row(counts) or ())
    for bad in (*JSON, *FIELDS, *ADDRESSES):
        raw = bad.sent if isinstance(bad.sent, bytes) else None
        sent = None if isinstance(bad.sent, bytes) else bad.sent
        as_ = "admin" if bad.path == "/v1/owners" else "ann"
        said = await world.ask(bad.method, bad.path, sent, data=raw, headers=bad.headers, as_=as_)
        assert said.status == bad.status, (bad.what, said)
        assert said.headers["Content-Type"] == "application/problem+json", bad.what
        assert said.problem == bad.problem, (bad.what, said.body)
        if bad.field is not None:
            assert said.fields == [bad.field], (bad.what, said.body)
        assert len(str(said.body)) < 1500, bad.what
    assert tuple(await world.database.row(counts) or ()) == before


async def raw(world: World, request: bytes) -> bytes:
    """Bytes on a socket, and all that comes back until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(request)
    async with asyncio.timeout(10):
        said = await reader.read()
    writer.close()
    await writer.wait_closed()
    return said


def head(world: World, *lines: str) -> bytes:
    token = world.tokens["ann"]
    first = ("POST /v1/projects HTTP/1.1", "Host: a", f"Authorization: Bearer {token}")
    return "\r\n".join(
        [*first, "Connection: close", "Content-Type: application/json", *lines, "", ""]
    ).encode()


async def test_what_is_not_http_is_refused_without_repeating_it(world: World) -> None:
    for request in (
        b"EVIL<script>\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nEVIL header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"EVIL" * 10_000 + b"\r\n\r\n",
        b"GET /" + b"EVIL" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: EVIL\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ):
        said = await raw(world, request)
        assert said.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400", b"HTTP/1.0 431")), said
        assert b"EVIL" not in said
        assert b"application/problem+json" in said


async def test_a_body_whose_framing_breaks_half_way_is_refused_at_once(world: World) -> None:
    said = await raw(world, head(world, "Transfer-Encoding: chunked") + b'5\r\n{"nam\r\nZZ\r\n')
    assert b" 400 Bad Request" in said, said


async def test_a_body_that_ends_too_early_makes_nothing(world: World) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(head(world, "Content-Length: 100") + b'{"name": "half"}')
    writer.close()
    await writer.wait_closed()
    assert (await world.ask("GET", "/v1/projects/ann/half")).status == 404


async def test_a_body_that_comes_too_slowly_is_given_up(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(body, "GRACE", 0.2)
    said = await raw(world, head(world, "Content-Length: 100") + b'{"na')
    assert said.startswith(b"HTTP/1.1 408"), said


async def test_the_same_header_twice_is_refused(world: World) -> None:
    said = await raw(world, head(world, "Authorization: Bearer x", "Content-Length: 2") + b"{}")
    assert said.startswith(b"HTTP/1.1 400"), said


async def test_archives_are_checked_before_anything_is_made(world: World) -> None:
    for content in (b"not a tar", tar({"../valohai.yaml": "x"}), tar({"/valohai.yaml": "x"})):
        source = await world.upload(content)
        said = await world.ask("POST", V, {"source": source})
        assert (said.status, said.problem) == (422, "invalid"), said
        assert said.fields[0].startswith("source"), said
    empty = await world.upload(tar({"readme": "x"}))
    said = await world.ask("POST", V, {"source": empty})
    assert (said.status, said.fields) == (422, ["source"])
    assert (await world.ask("GET", V)).body["items"] == []


async def test_files_that_are_missing_are_named(world: World) -> None:
    wish = await world.wish(files={})
    said = await world.ask("POST", V, wish)
    assert (said.status, said.fields) == (422, ["files.digit.model"])
    foreign = await world.upload(b"bobs", as_="bob", place="/v1/projects/bob/barn")
    said = await world.ask("POST", V, await world.wish(files={"digit": {"model": foreign}}))
    assert (said.status, said.fields) == (422, ["files.digit.model"])


async def test_gpus_that_can_never_be_had_are_refused(world: World) -> None:
    await world.gpus(a100=2)
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"gpu_types": ["a100"], "gpu_count": 3}, "resources.gpu_count"),
        ({"gpu_types": ["rtx3090"], "gpu_count": 1}, "resources.gpu_types"),
        ({"gpu_types": ["a100"], "gpu_count": 1, "max_price": 0.5}, "resources.max_price"),
    )
    for resources, field in cases:
        said = await world.ask("POST", E, await world.endpoint(**resources))
        assert (said.status, said.fields) == (422, [field]), said
    assert (
        "a100"
        in (await world.ask("POST", E, await world.endpoint(gpu_types=["t4"]))).body["detail"]
    )


async def test_a_valohai_endpoint_names_its_devices(world: World) -> None:
    text = """
- endpoint:
    name: greet
    image: python:3.11
    server-command: serve
    resources:
      devices:
        nvidia.com/gpu: 2
"""
    said = await world.ask("POST", V, await world.wish(config=text, files={}))
    assert (said.status, said.fields) == (422, ["endpoint.resources.devices"]), said
    await world.gpus(a100=2)
    version = await world.version(config=text, files={})
    job = (await world.ask("GET", f"/v1/jobs/{version['jobs']['greet']}")).body
    assert (job["gpu_count"], job["gpu_types"]) == (2, [])


async def test_a_megabyte_of_valohai_yaml_is_a_question_of_fields(world: World) -> None:
    wish = await world.wish(config="[" * 50_000)
    said = await world.ask("POST", V, wish)
    assert (said.status, said.fields) == (422, ["config"])


def test_nothing_that_json_can_say_is_a_bug() -> None:
    for text in (b'"\\ud83d\\ude00"', b"-0", b"1e308", b"9223372036854775807", b'{"":{"":[]}}'):
        body.parse(text)
    assert body.parse(b'{"a": "\\ud83d\\ude42"}') == {"a": "🙂"}


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    x: int


class Outer(msgspec.Struct):
    inner: list[Inner]


def test_messages_name_the_path() -> None:
    for value, field in (
        ({"inner": [{"x": "1"}]}, "inner[0].x"),
        ({"inner": [{"x": 1, "y": 2}]}, "inner[0].y"),
        ({"inner": [{}]}, "inner[0].x"),
        ({}, "inner"),
    ):
        with pytest.raises(Invalid) as caught:
            body.convert(value, Outer)
        assert caught.value.field == field


def test_one_wrong_key_among_many_is_named_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, says = [], body._says

    def counted(value: Any, kind: Any) -> str:
        looks.append(1)
        return says(value, kind)

    monkeypatch.setattr(body, "_says", counted)
    many = {f"V{number}": "x" for number in range(5_000)}
    with pytest.raises(Invalid) as caught:
        body.convert({"files": {"a": many, "b": many | {"LAST": 1}}}, Keyed)
    assert (caught.value.field, len(looks) < 30) == ("files.b.LAST", True)


class Keyed(msgspec.Struct):
    files: dict[str, dict[str, str]]
