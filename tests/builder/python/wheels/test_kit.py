"""Which of an installation's settings mean something inside a base."""

from __future__ import annotations

import pytest

from services.builder.python.wheels import kit


def test_folders_and_certificates_of_the_machine_are_named_where_they_are_inside() -> None:
    found = kit.environment(
        {
            "UV_FIND_LINKS": "https://x.example/links,/opt/wheels",
            "SSL_CERT_FILE": "/etc/ssl/own.pem",
            "UV_INDEX": "https://x.example/simple",
        }
    )
    assert found == {
        "UV_FIND_LINKS": "https://x.example/links,/slipway/wheels/links",
        "SSL_CERT_FILE": "/slipway/wheels/certificates.pem",
        "UV_INDEX": "https://x.example/simple",
    }


def test_logins_and_paths_of_the_machine_do_not_come_along() -> None:
    machine = {
        "PATH": "/usr/bin",
        "NETRC": "/root/.netrc",
        "SSL_CERT_DIR": "/etc/own",
        "https_proxy": "http://me:secret@proxy.example",
        "UV_KEYRING_PROVIDER": "subprocess",
    }
    assert kit.environment(machine) == {}


def test_an_index_on_loopback_is_asked_through_the_way_out() -> None:
    found = kit.environment({"UV_INDEX": "http://127.0.0.1:8000/simple"})
    assert found["no_proxy"] == found["NO_PROXY"] == ""


@pytest.mark.parametrize("index", ["file:///opt/simple", "/opt/simple"])
def test_an_index_on_the_machines_disk_is_named(index: str) -> None:
    with pytest.raises(ValueError, match=f"the index {index} is on the builder's own disk"):
        kit.environment({"UV_INDEX": f"https://x.example/simple {index}"})
