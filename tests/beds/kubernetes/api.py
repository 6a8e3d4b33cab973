"""One request to the bed's API server, as its administrator."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from tests.beds.kubernetes.place import PKI, SERVER

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"


class Refused(Exception):
    """It answered with an error, or not at all."""


def context() -> ssl.SSLContext:
    known = ssl.create_default_context(cafile=str(PKI / "ca.crt"))
    known.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
    return known


def call(method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
    """Its answer. Raises Refused."""
    request = urllib.request.Request(
        SERVER + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": kind},
    )
    # not by a proxy that the environment names
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context())
    )
    try:
        with opener.open(request, timeout=10) as answer:
            said = answer.read()
    except urllib.error.HTTPError as error:
        raise Refused(f"{method} {path}: {error.read()[:500].decode(errors='replace')}") from error
    except OSError as error:
        raise Refused(f"{method} {path}: {error}") from error
    return json.loads(said) if said.startswith(b"{") else said.decode()


def answers(path: str) -> bool:
    try:
        call("GET", path)
    except Refused:
        return False
    return True
