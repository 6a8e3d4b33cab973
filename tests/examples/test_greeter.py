"""The greeter's server, and its valohai.yaml."""

from __future__ import annotations

import json
import threading
import urllib.request
from typing import Any

import pytest

from services.api.formats import valohai
from shared.endpoint import Command
from tests.examples.conftest import EXAMPLES, Import

EXAMPLE = "greeter"


def test_its_endpoints_are_accepted() -> None:
    greet_me, greeter = valohai.endpoints((EXAMPLES / "greeter/valohai.yaml").read_text())
    assert greet_me.entry == Command(lines=("python -m wsgiref.simple_server",))
    assert (greet_me.port, greeter.port) == (8000, 8001)


@pytest.mark.parametrize(
    ("target", "prefix", "text"),
    [
        ("/", "", "Hello, world!"),
        ("/Ada", "", "Hello, Ada!"),
        ("/me/p/d/v/greeter", "/me/p/d/v/greeter", "Hello, world!"),
        ("/me/p/d/v/greeter/", "/me/p/d/v/greeter", "Hello, world!"),
        ("/me/p/d/v/greeter/Ada", "/me/p/d/v/greeter/", "Hello, Ada!"),
        ("/me/p/d/v/greeter?name=Ada+L.", "/me/p/d/v/greeter", "Hello, Ada L.!"),
        ("/me/p/d/v/greeter-2", "/me/p/d/v/greeter", "Hello, me/p/d/v/greeter-2!"),
        ("/Zo%C3%AB", "", "Hello, Zoë!"),
    ],
)
def test_it_greets_whoever_is_named(example: Import, target: str, prefix: str, text: str) -> None:
    assert example("greeter").greeting(target, prefix) == text


def test_it_answers_over_http(example: Import) -> None:
    greeter: Any = example("greeter")
    greeter.Handler.log_message = lambda *_: None
    with greeter.ThreadingHTTPServer(("127.0.0.1", 0), greeter.Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v/greeter/Ada"
        request = urllib.request.Request(url, headers={"X-VH-Prefix": "/v/greeter"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert json.load(answer) == {"greeting": "Hello, Ada!"}
        server.shutdown()
        thread.join()
