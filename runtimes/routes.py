"""Serves the routes of a proxiML endpoint: each is a function in a file that its owner wrote.

Every file is imported once, at the start. A request's body is checked against the route's template
before the function is called; `GET /ping` answers 200 as soon as all files are imported.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import traceback
from http import HTTPStatus
from urllib.parse import parse_qsl

import slipway_answer as answer
import slipway_server as server
import slipway_template as template

MOST = 512 * 1024 * 1024  # bytes of a body
BODILESS = ("GET", "HEAD", "DELETE")
CORS = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "*"),
    ("Access-Control-Allow-Headers", "*"),
]


class Application:
    """A WSGI application: verb and path -> (route, function)."""

    def __init__(self, table, most=MOST):
        self._table = table
        self._most = most

    def __call__(self, environ, start_response):
        found = self._answer(environ)
        status = "%d %s" % (found.status, _phrase(found.status))
        start_response(status, found.headers + CORS)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else found.body

    def _answer(self, environ):
        try:
            return self._call(environ)
        except template.Rejected as error:
            return answer.json_answer(error.status, {"detail": error.detail})
        except Exception as error:
            if hasattr(error, "status_code") and hasattr(error, "detail"):  # an HTTPException
                return answer.json_answer(error.status_code, {"detail": error.detail})
            traceback.print_exc()
            return answer.json_answer(500, {"detail": "Internal Server Error"})

    def _call(self, environ):
        verb, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO") or "/"
        if path == "/ping" and verb in ("GET", "HEAD"):
            return answer.json_answer(200, {"message": "pong"})
        verbs = self._table.get(path) or self._table.get(path.rstrip("/")) or {}
        if verb == "OPTIONS" and verbs:
            return answer.Answer(204, [("Allow", ", ".join(sorted(verbs)))], [])
        if not verbs:
            raise template.Rejected(404, "there is no route %s" % path[:200])
        found = verbs.get(verb) or (verbs.get("GET") if verb == "HEAD" else None)
        if found is None:
            raise template.Rejected(405, "%s takes %s" % (path, ", ".join(sorted(verbs))))
        route, function = found
        return answer.answer(call(route, function, self._values(route, environ)))

    def _values(self, route, environ):
        parameters = route.get("body", [])
        body = self._body(environ)
        if not body and (environ["REQUEST_METHOD"] in BODILESS or not parameters):
            query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
            return template.check(
                parameters, template.from_query(parameters, query) if parameters else {}
            )
        return template.check(parameters, template.parse(body))

    def _body(self, environ):
        length = environ.get("CONTENT_LENGTH")
        if length and int(length) > self._most:
            raise template.Rejected(413, "the body is larger than %d bytes" % self._most)
        body = environ["wsgi.input"].read(self._most + 1)
        if len(body) > self._most:
            raise template.Rejected(413, "the body is larger than %d bytes" % self._most)
        if length and len(body) < int(length):
            raise template.Rejected(400, "the body ended early")
        return body


def call(route, function, values):
    """Call the owner's function by position or by name."""
    if route.get("positional", False):
        result = function(*values)
    else:
        names = [parameter["name"] for parameter in route.get("body", [])]
        result = function(**dict(zip(names, values)))
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def load(routes):
    """Import each file once and look each function up. Raises CannotStart naming what lacks."""
    table = {}
    for route in routes:
        path = route["file"] + ".py"
        module = server.import_module(route["file"].replace("/", "."), path)
        function = getattr(module, route["function"], None)
        if not callable(function):
            raise server.CannotStart("%s has no function %s" % (path, route["function"]))
        table.setdefault(route["path"], {})[route["verb"]] = (route, function)
    return table


def _phrase(status):
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def main():
    described = server.endpoint()
    routes = described["entry"]["routes"]
    sys.path[0] = os.getcwd()  # in place of our own folder, whose names the owner may use
    server.serve(lambda: Application(load(routes)), server.concurrency_of(described))


if __name__ == "__main__":
    main()
