"""What a person reads when an installation failed, from output that the installer really printed."""

from __future__ import annotations

import pytest

from services.builder.python.reason import LONGEST, masked, reason

USING = "Using CPython 3.11.7 interpreter at: /usr/bin/python3.11"

MISSING = f"""{USING}
error: No solution found when resolving dependencies
  cause: Because nosuchpackage was not found in the package registry and you require nosuchpackage==1, we can conclude that your requirements are unsatisfiable.
"""

VERSION = f"""{USING}
error: No solution found when resolving dependencies
  cause: Because there is no version of gunicorn==999 and you require gunicorn==999, we can conclude that your requirements are unsatisfiable.

hint: `gunicorn` was found on https://me:secret@index.example/simple, but not at the requested version (gunicorn==999). A compatible version may be available on a subsequent index.
"""

CONFLICT = f"""{USING}
error: No solution found when resolving dependencies
  cause: Because you require gunicorn>=25 and gunicorn<20, we can conclude that your requirements are unsatisfiable.
"""

PARSE = """error: Couldn't parse requirement in `requirements.txt` at position 0
  cause: Expected one of `@`, `(`, `<`, `=`, `>`, `~`, `!`, `;`, found `b`
         foo bar baz
             ^
"""

BUILD = f"""{USING}
error: The build backend returned an error
  cause: Call to `setuptools.build_meta:__legacy__.get_requires_for_build_wheel` failed (exit status: 1)

         [stderr]
         Traceback (most recent call last):
           File "<string>", line 14, in <module>
           File "<string>", line 2, in <module>
         RuntimeError: boom at build
"""

COMPILER = f"""{USING}
error: Failed to build `fast==1.0`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)

         [stdout]
         running build_ext

         [stderr]
         fast.c:1:10: fatal error: Python.h: No such file or directory
             1 | #include <Python.h>
         compilation terminated.
         error: command '/usr/bin/gcc' failed with exit code 1
"""

AWAY = """error: Failed to fetch: `https://me:secret@index.example/simple/six/`
  cause: Request failed after 3 retries
  cause: error sending request for url (https://me:secret@index.example/simple/six/)
  cause: client error (Connect)
"""


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        (MISSING, "nosuchpackage was not found in the package registry"),
        (VERSION, "there is no version of gunicorn==999"),
        (CONFLICT, "you require gunicorn>=25 and gunicorn<20"),
        (PARSE, "Couldn't parse requirement in `requirements.txt` at position 0: Expected one of"),
        (BUILD, "RuntimeError: boom at build"),
        (COMPILER, "fast.c:1:10: fatal error: Python.h: No such file or directory"),
        (AWAY, "Failed to fetch: `https://***@index.example/simple/six/`"),
        ("", "the installer ended without saying why"),
        ("Killed\n", "Killed"),
    ],
)
def test_the_lines_that_matter_are_found(output: str, wanted: str) -> None:
    found = reason(output.splitlines())
    assert wanted in found
    assert "secret" not in found
    assert "\n" not in found
    assert len(found) <= LONGEST


def test_a_reason_is_short_whatever_was_printed() -> None:
    assert len(reason([f"error: {'x' * 10_000}", *["  cause: y" * 100] * 100])) <= LONGEST


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:s3cr%40t@index.example/simple", "https://***@index.example/simple"),
        ("git+https://token@host/x.git", "git+https://***@host/x.git"),
        ("https://index.example/a@b", "https://index.example/a@b"),
        ("mail me@example.org", "mail me@example.org"),
    ],
)
def test_credentials_are_never_shown(text: str, shown: str) -> None:
    assert masked(text) == shown
