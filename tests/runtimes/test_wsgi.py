import urllib.request

import pytest

ENDPOINT = {"name": "e", "entry": {"kind": "wsgi"}, "serving": {"concurrency": 4}}

APP = """
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode(), b" ", os.getcwd().encode()[-4:]]
class Nested:
    app = staticmethod(application)
"""


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("predict_wsgi", "predict_wsgi.py"),
        ("predict_wsgi:application", "predict_wsgi.py"),
        ("package.app:Nested.app", "package/app.py"),
    ],
)
def test_a_callable_is_served_in_the_codes_folder(start, name, file):
    runtime = start("wsgi", ENDPOINT, {file: APP}, name)
    runtime.wait_until_it_listens()
    with urllib.request.urlopen(runtime.url + "/me/p/d/v/e/x", timeout=10) as answer:
        assert answer.read() == b"/me/p/d/v/e/x code"


@pytest.mark.parametrize(
    ("name", "files", "reason"),
    [
        ("nope", {}, "slipway: there is no file nope.py"),
        ("app:nope", {"app.py": APP}, "slipway: app.py has no callable nope"),
        ("app:os", {"app.py": APP}, "slipway: app.py has no callable os"),
    ],
)
def test_what_is_not_there_is_named_and_exits_with_78(start, name, files, reason):
    runtime = start("wsgi", ENDPOINT, files, name)
    _, errors = runtime.process.communicate(timeout=20)
    assert runtime.process.returncode == 78
    assert reason in errors


def test_a_file_that_is_not_there_ends_it_before_it_listens(start):
    runtime = start("wsgi", ENDPOINT, {}, "folder.nope")
    _, errors = runtime.process.communicate(timeout=20)
    assert (runtime.process.returncode, errors) == (
        78,
        "slipway: there is no file folder/nope.py\n",
    )
