"""Who is reached from a sandbox, and who is not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from services.builder.sandbox import gates
from shared.confine.egress import Proxy, Request


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("93.184.216.34", True),
        ("2606:2800::1", True),
        ("203.0.113.80", True),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:10.0.0.1", False),
        ("fd00:ec2::254", False),
        ("fe80::1%eth0", False),
        ("ff02::1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:a9fe:a9fe::1", False),
        ("nonsense", False),
    ],
)
def test_only_what_everybody_reaches_is_public(address: str, is_public: bool) -> None:
    assert gates.public(address) is is_public


def test_what_is_public_is_reached_on_the_ports_of_the_web() -> None:
    allowed = gates.guard(())
    assert allowed(Request("a.example", 443, b""), "93.184.216.34")
    assert allowed(Request("a.example", 80, b""), "93.184.216.34")
    assert not allowed(Request("a.example", 22, b""), "93.184.216.34")
    assert not allowed(Request("a.example", 443, b""), "10.0.0.1")


def test_a_gate_is_reached_wherever_it_is_and_nothing_beside_it() -> None:
    allowed = gates.guard(["mirror.example:3142"])
    assert allowed(Request("Mirror.example", 3142, b""), "10.0.0.1")
    assert not allowed(Request("mirror.example", 80, b""), "10.0.0.1")
    assert not allowed(Request("other.example", 3142, b""), "10.0.0.1")


def test_the_machine_is_not_reached_by_an_address_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gates, "public", lambda _: True)  # as that of a machine on the internet
    own = {str(found[4][0]) for found in socket.getaddrinfo("localhost", 80)}
    for address in own:
        assert gates.ours(address)
        assert not gates.guard(())(Request("a.example", 80, b""), address)
    assert not gates.ours("203.0.113.80")


def test_the_machines_settings_name_its_gates(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "deb http://mirror.example/debian bookworm main\n# deb http://old.example/debian x y\n"
    )
    (tmp_path / "sources.list.d/more.sources").write_text(
        "Types: deb\nURIs: https://other.example:8443/debian\nSuites: x\n"
    )
    (tmp_path / "sources.list.d/more.list.save").write_text("deb http://saved.example x y\n")
    settings = {"UV_INDEX": "https://me:secret@pypi.example/simple file:///srv", "PATH": "/bin"}
    assert gates.of_machine(settings, tmp_path) == [
        "mirror.example:80",
        "other.example:8443",
        "pypi.example:443",
    ]


def test_the_machines_proxies_are_chosen_as_the_usual_clients_do() -> None:
    chosen = gates.through(
        {
            "http_proxy": "http://me:it%27s@plain.example",
            "HTTPS_PROXY": "secure.example:3128",
            "NO_PROXY": "house.example, .own.example",
        }
    )
    plain, tunnel = (b"GET / HTTP/1.1\r\n\r\n", b"")
    assert chosen(Request("a.example", 80, plain)) == Proxy(
        "plain.example", 80, "Basic bWU6aXQncw=="
    )
    assert chosen(Request("a.example", 443, tunnel)) == Proxy("secure.example", 3128)
    for host in ("house.example", "www.house.example", "x.own.example"):
        assert chosen(Request(host, 443, tunnel)) is None
    assert chosen(Request("warehouse.example", 443, tunnel)) is not None
    assert gates.through({})(Request("a.example", 443, tunnel)) is None
    assert (
        gates.through({"http_proxy": "http://a", "no_proxy": "*"})(Request("b", 80, plain)) is None
    )
