"""A server of the standard library alone: it greets whoever the path or `?name=` names.

The platform passes the whole path on, and says in a header which part of it is the endpoint's own
address; what is behind that is ours.
"""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


def behind(path: str, prefix: str) -> str:
    """`path` without the address of the endpoint: always begins with `/`."""
    plain = "/" + prefix.strip("/") if prefix.strip("/") else ""
    inside = path == plain or path.startswith(plain + "/")
    return (path[len(plain) :] if inside else path) or "/"


def greeting(target: str, prefix: str = "") -> str:
    """The answer to a request for `target`, a path and perhaps a query."""
    asked = urlsplit(target)
    named = parse_qs(asked.query).get("name", [""])[0]
    name = named or unquote(behind(asked.path, prefix).strip("/")) or "world"
    return f"Hello, {name}!"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        prefix = self.headers.get("X-VH-Prefix") or os.environ.get("VH_DEFAULT_PREFIX", "")
        body = json.dumps({"greeting": greeting(self.path, prefix)}).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    port = int(os.environ.get("VALOHAI_PORT", "8001"))
    ThreadingHTTPServer(("0.0.0.0", port), Handler).serve_forever()
