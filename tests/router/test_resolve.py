"""From raw bytes to an endpoint: addresses, prefixes, and paths that could be read in two ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.resolve import Ambiguous, Match, Unknown, job_of, resolve
from services.router.table import Table
from shared.endpoint import Serving
from tests.router.conftest import PREFIX, alias, route

P = PREFIX.encode()
J = b"j000000000001"


def table(*, strip: bool = False) -> Table:
    found = Table()
    found.replace([route(serving=Serving(strip_prefix=strip))], [alias()])
    return found


def asked(target: bytes, host: bytes = b"h", *, strip: bool = False) -> Match | Ambiguous | Unknown:
    return resolve(table(strip=strip), host, target, b"localhost")


@pytest.mark.parametrize(
    ("target", "strip", "forwarded", "rest"),
    [
        (P, False, P, b""),
        (P + b"/", False, P + b"/", b"/"),
        (P + b"?a=/b/../c", False, P + b"?a=/b/../c", b""),
        (P + b"/x//y/../%2e%2F;z?q", False, P + b"/x//y/../%2e%2F;z?q", b"/x//y/../%2e%2F;z"),
        (P + b"/\xff\xc3\xa9", False, P + b"/\xff\xc3\xa9", b"/\xff\xc3\xa9"),
        (P, True, b"/", b""),
        (P + b"?q", True, b"/?q", b""),
        (P + b"/?q", True, b"/?q", b"/"),
        (P + b"//evil", True, b"//evil", b"//evil"),
        (P + b"/..", True, b"/..", b"/.."),
        (P + b"?", True, b"/?", b""),
    ],
)
def test_what_follows_the_prefix_is_passed_on_untouched(
    target: bytes, strip: bool, forwarded: bytes, rest: bytes
) -> None:
    found = asked(target, strip=strip)
    assert isinstance(found, Match)
    assert (found.prefix, found.target, found.rest) == (P, forwarded, rest)
    assert (found.valohai, found.stripped) == (True, strip)


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [
        (b"/endpoints/" + J, b"/"),
        (b"/endpoints/" + J + b"/", b"/"),
        (b"/endpoints/" + J + b"?a", b"/?a"),
        (b"/endpoints/" + J + b"/a/../b//", b"/a/../b//"),
    ],
)
def test_a_jobs_own_path_is_stripped(target: bytes, forwarded: bytes) -> None:
    found = asked(target)
    assert isinstance(found, Match)
    assert (found.prefix, found.target) == (b"/endpoints/" + J, forwarded)
    assert found.stripped
    assert not found.valohai


@pytest.mark.parametrize(
    "host", [J + b".localhost", J + b".localhost:8000", J.upper() + b".LocalHost:1"]
)
def test_on_a_jobs_own_host_the_path_is_as_it_came(host: bytes) -> None:
    found = asked(b"//a/%2e%2e/../metrics?x", host)
    assert isinstance(found, Match)
    assert (found.prefix, found.target) == (b"", b"//a/%2e%2e/../metrics?x")


@pytest.mark.parametrize(
    "host",
    [b"localhost", b"localhost:8000", b"a.b.localhost", b".localhost", b"localhost.", J + b".other",
     J + b".localhost.evil", J + b"localhost", b"[::1]:8000", J + b"-.localhost", b"", b":"],
)  # fmt: skip
def test_another_host_is_no_jobs_own(host: bytes) -> None:
    assert job_of(host, b"localhost") is None


def test_an_unknown_job_host_finds_nothing_even_with_a_good_path() -> None:
    assert asked(P, b"j00000000000x.localhost") == Unknown(cors=True)


@pytest.mark.parametrize(
    "target",
    [
        b"/ann/shop/../shop/mnist/20261121.0/predict",
        b"/ann/./shop/mnist/20261121.0/predict",
        b"/../ann/shop/mnist/20261121.0/predict",
        b"/ann/%2e%2e/x/mnist/20261121.0/predict",
        b"/ann%2fshop/mnist/20261121.0/predict",
        b"/ann%2Fshop/mnist/20261121.0/predict",
        b"/%61nn/shop/mnist/20261121.0/predict",
        b"//ann/shop/mnist/20261121.0/predict",
        b"/ann//shop/mnist/20261121.0/predict",
        b"/ann/shop/mnist/20261121.0//predict",
        b"/ann\\shop/mnist/20261121.0/predict/x",
        b"/ann/shop/mnist/20261121.0/predict%00",
        b"/ann/shop/mnist/20261121.0/pr\xc3\xa9dict",
        b"/ann/shop/mnist/20261121.0/pr\xffdict",
        b"/ann/shop/mnist/20261121.0/predict%20",
        b"/ann/shop/mnist/20261121.0/..",
        b"/endpoints/../ann",
        b"/endpoints//x",
        b"/endpoints/%6a000000000001",
        b"/endpoints/j000000000001%2f..",
        b"//",
        b"/..",
    ],
)
def test_a_path_that_could_name_two_things_is_refused(target: bytes) -> None:
    assert isinstance(asked(target), Ambiguous)


@pytest.mark.parametrize(
    "target",
    [b"/", b"/ann", b"/ann/shop/mnist/20261121.0", b"/ann/shop/mnist/20261121.0/Predict",
     b"/ann/shop/mnist/20261121.0/predict;x", b"/ann/shop/mnist/nope/predict", b"/endpoints",
     b"/endpoints/", b"/ann/", b"/endpoints/predict", b"/Endpoints/" + J, b"/endpoints/" + J.upper()],
)  # fmt: skip
def test_what_is_not_there_is_unknown(target: bytes) -> None:
    assert isinstance(asked(target), Unknown)


@given(
    st.binary(max_size=60), st.sampled_from([b"/", P, P + b"/", b"/endpoints/", b"/endpoints/" + J])
)
def test_whatever_is_forwarded_is_the_same_bytes_less_the_prefix(tail: bytes, start: bytes) -> None:
    found = asked(start + tail)
    if isinstance(found, Match):
        path = (start + tail).partition(b"?")[0]
        assert path.startswith(found.prefix)
        assert path[len(found.prefix) :] == found.rest
        behind = (start + tail)[len(found.prefix) :]
        if found.stripped:
            assert found.target in (behind, b"/" + behind)
        else:
            assert found.target == start + tail
