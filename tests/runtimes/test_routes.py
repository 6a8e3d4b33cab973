import ast
import http.client
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

RUNTIMES = Path(__file__).parents[2] / "runtimes"

CODE = """
import asyncio, dataclasses
calls = 0
print("imported")

def add(a, b):
    return {"sum": a + b}

def greet(*, name, loud=False):
    return ("HELLO " if loud else "hello ") + name

def many(s, i, f, b, l, d):
    return [s, i, f, b, l, d, type(f).__name__]

async def later(name):
    await asyncio.sleep(0)
    return name

def wrong():
    raise RuntimeError("secret detail")

def nan():
    return float("nan")

class Response:
    status_code = 418
    headers = {"Content-Type": "text/plain", "X-Mine": "yes", "Connection": "close"}
    body = b"teapot"

def response():
    return Response()

class Streamed:
    status_code = 200
    headers = {"Content-Type": "text/event-stream"}
    @property
    def body_iterator(self):
        async def chunks():
            yield "data: 1\\n\\n"
            yield b"data: 2\\n\\n"
        return chunks()

def streamed():
    return Streamed()

class HTTPException(Exception):
    status_code = 409
    detail = "taken"

def refuse():
    raise HTTPException

@dataclasses.dataclass
class Point:
    x: int

def point():
    return [Point(1), {2}, b"3"]
"""


def route(function, *body, positional=True, verb="POST", path=None):
    parameters = [dict(zip(("name", "type"), item.split(":"), strict=True)) for item in body]
    return {
        "verb": verb,
        "path": path or f"/{function}",
        "file": "predict",
        "function": function,
        "positional": positional,
        "body": parameters,
    }


ROUTES = [
    route("add", "a:int", "b:float"),
    route("greet", "name:str", "loud:bool", positional=False),
    route("many", "s:str", "i:int", "f:float", "b:bool", "l:list", "d:dict"),
    route("later", "name:str"),
    route("add", "a:int", "b:float", verb="GET", path="/sum"),
    *(route(name) for name in ("wrong", "nan", "response", "streamed", "refuse", "point")),
]


def endpoint(*routes):
    return {"name": "e", "entry": {"kind": "routes", "routes": list(routes)}, "serving": {}}


@pytest.fixture
def server(start):
    runtime = start("routes", endpoint(*ROUTES), {"predict.py": CODE})
    runtime.wait_until_it_listens()
    return runtime


def send(server, path, body=None, method=None):
    if isinstance(body, dict | list):
        body = json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def test_a_function_is_called_by_position_and_by_keyword(server):
    assert send(server, "/add", {"b": 1, "a": 2})[:2] == (200, b'{"sum": 3.0}')
    assert send(server, "/greet", {"name": "é", "loud": True})[1] == '"HELLO é"'.encode()
    assert json.loads(send(server, "/later", {"name": "x"})[1]) == "x"
    everything = {"s": "", "i": 1, "f": 2, "b": False, "l": [], "d": {}}
    assert json.loads(send(server, "/many", everything)[1]) == ["", 1, 2.0, False, [], {}, "float"]


def test_ping_is_answered_by_the_platform(server):
    assert send(server, "/ping")[:2] == (200, b'{"message": "pong"}')


def test_a_get_route_takes_its_values_from_the_query(server):
    assert send(server, "/sum?a=1&b=2.5")[:2] == (200, b'{"sum": 3.5}')
    assert send(server, "/sum?a=one&b=2")[0] == 422


def test_browsers_of_other_origins_may_call(server):
    status, _, headers = send(server, "/add", method="OPTIONS")
    assert (status, headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert send(server, "/add", {})[2]["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"a": 1}, 422, "b is missing"),
        ({"a": 1, "b": 2, "c": 3}, 422, "c is not a parameter; allowed: a, b"),
        ({"a": "1", "b": 2}, 422, "a must be an integer"),
        ({"a": 1.5, "b": 2}, 422, "a must be an integer"),
        ({"a": True, "b": 2}, 422, "a must be an integer"),
        ({"a": 1, "b": None}, 422, "b must be a number"),
        ({"a": 1, "b": 10**400}, 422, "too large"),
        ([1, 2], 422, "must be a JSON object"),
        (b"{", 400, "not JSON"),
        (b"", 400, "not JSON"),
        (b'{"a": NaN, "b": 1}', 400, "NaN is not JSON"),
        (b'{"a": "\xff"}', 400, "not UTF-8"),
        (b'{"a": "\x00"}', 400, "not JSON"),
        (b"[" * 100_000, 400, "nested too deeply"),
        (b'{"a": ' + b"9" * 10_000 + b', "b": 1}', 400, "not JSON"),
    ],
)
def test_a_body_that_does_not_match_is_rejected_by_name(server, body, status, said):
    answer = send(server, "/add", body)
    assert (answer[0], said in answer[1].decode()) == (status, True), answer[1]


def test_every_mistake_is_told_at_once(server):
    detail = json.loads(send(server, "/add", {"a": "x", "z": 1})[1])["detail"]
    assert [item["loc"] for item in detail] == [["body", "a"], ["body", "b"], ["body", "z"]]


def test_a_truncated_body_is_refused(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("POST", "/add")
    connection.putheader("Content-Length", "100")
    connection.endheaders(b'{"a": 1')
    connection.sock.shutdown(1)
    assert connection.getresponse().status == 400
    connection.close()


def test_unknown_paths_and_verbs_are_told_apart(server):
    assert send(server, "/nothing", {})[0] == 404
    assert send(server, "/add", method="GET")[0] == 405


def test_a_response_object_passes_through(server):
    status, body, headers = send(server, "/response", {})
    assert (status, body, headers["X-Mine"]) == (418, b"teapot", "yes")
    assert send(server, "/streamed", {})[1] == b"data: 1\n\ndata: 2\n\n"
    assert send(server, "/refuse", {})[:2] == (409, b'{"detail": "taken"}')


def test_values_that_json_does_not_know_are_written_plainly(server):
    assert json.loads(send(server, "/point", {})[1]) == [{"x": 1}, [2], "3"]


@pytest.mark.parametrize("path", ["/wrong", "/nan"])
def test_a_function_that_fails_is_a_500_without_details(server, path):
    status, body, _ = send(server, path, {})
    assert (status, body) == (500, b'{"detail": "Internal Server Error"}')


@pytest.mark.parametrize(
    ("asked", "files", "reason"),
    [
        (route("f"), {}, "slipway: there is no file predict.py"),
        (route("f"), {"predict.py": "g = 1"}, "slipway: predict.py has no function f"),
        (route("f"), {"predict.py": "f = 1"}, "slipway: predict.py has no function f"),
        (route("f"), {"predict.py": "def"}, "slipway: predict.py is not valid Python"),
        (route("f"), {"predict.py": "import nope_x"}, "needs the module nope_x"),
    ],
)
def test_what_can_never_start_says_so_and_exits_with_78(start, asked, files, reason):
    runtime = start("routes", endpoint(asked), files)
    _, errors = runtime.process.communicate(timeout=20)
    assert runtime.process.returncode == 78
    assert [line for line in errors.splitlines() if line.startswith("slipway: ")]
    assert reason in errors


def test_trouble_during_the_import_may_pass_so_it_is_not_78(start):
    runtime = start("routes", endpoint(route("f")), {"predict.py": "raise OSError('no network')"})
    _, errors = runtime.process.communicate(timeout=20)
    assert runtime.process.returncode not in (0, 78)
    assert "OSError: no network" in errors


def test_the_owners_modules_may_have_any_name(start):
    files = {
        "slipway.py": "x = 1",
        "server.py": "x = 2",
        "wsgi.py": "x = 3",
        "predict.py": "import server, slipway, wsgi\ndef add(a, b): return server.x + slipway.x + wsgi.x",
    }
    runtime = start("routes", endpoint(ROUTES[0]), files)
    runtime.wait_until_it_listens()
    assert send(runtime, "/add", {"a": 1, "b": 1})[1] == b"6"


@pytest.mark.parametrize("path", sorted(RUNTIMES.glob("*.py")), ids=lambda path: path.name)
def test_it_is_written_for_python_3_8(path):
    ast.parse(path.read_text(), feature_version=(3, 8))
