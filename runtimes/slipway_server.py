"""Runs a WSGI application inside an image: gunicorn with one process and a few threads.

One process, because a model loaded twice needs twice the memory and a GPU has one; the application
is loaded in that process and not before the fork, because CUDA does not survive a fork. Runs on
Python 3.8 and newer with gunicorn as the only dependency.

Exit code 78 (EX_CONFIG of sysexits.h) means that it can never start; the last line on stderr that
begins with `slipway: ` says why.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

from gunicorn.app.base import BaseApplication
from gunicorn.errors import AppImportError

NEVER = 78
CANNOT_LOAD = 4  # gunicorn's own code for an AppImportError in its worker
MOST_THREADS = 64


class CannotStart(Exception):
    """The image can never serve: what it names is not there."""


def endpoint():
    """The description of the endpoint that this image serves."""
    with open(os.environ.get("SLIPWAY_ENDPOINT", "/slipway/endpoint.json"), encoding="utf-8") as f:
        return json.load(f)


class Server(BaseApplication):
    def __init__(self, load, port, threads):
        self._load = load
        self._settings = {
            "bind": "0.0.0.0:%d" % port,
            "workers": 1,
            "worker_class": "gthread",
            "threads": max(1, min(threads, MOST_THREADS)),
            "timeout": 0,  # a long prediction is not a hang; the router has the deadlines
            "graceful_timeout": 30,
            "keepalive": 5,
            "control_socket_disable": True,
            "loglevel": "warning",
            "errorlog": "-",
        }
        super().__init__()

    def load_config(self):
        for name, value in self._settings.items():
            if name in self.cfg.settings:  # older gunicorns know fewer
                self.cfg.set(name, value)

    def load(self):
        try:
            return self._load()
        except CannotStart as error:
            print("slipway: %s" % error, file=sys.stderr, flush=True)
            raise AppImportError(str(error)) from error


def serve(load, concurrency):
    """Serve the application that `load()` returns until told to stop. Does not return."""
    port, parent = int(os.environ.get("PORT", "8000")), os.getpid()
    try:
        Server(load, port, concurrency).run()
    except SystemExit as end:  # the forked worker leaves this way too, with a code for its parent
        never = os.getpid() == parent and end.code == CANNOT_LOAD
        sys.exit(NEVER if never else end.code)


def concurrency_of(described):
    return int(described.get("serving", {}).get("concurrency", 16))


def must_be_there(name, path):
    """End now, before anything listens and so counts as ready, when nothing is called `name`."""
    import importlib.util

    if importlib.util.find_spec(name.partition(".")[0]) is None:
        print("slipway: there is no file %s" % path, file=sys.stderr, flush=True)
        sys.exit(NEVER)


def import_module(name, path):
    """Import what the owner wrote. A module that is not there, or is not Python, is CannotStart.

    Any other trouble while it is imported (a download that fails, say) may pass, so it is printed
    and raised on: the server ends and is tried again.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise CannotStart("there is no file %s" % path) from error
        raise CannotStart(
            "%s needs the module %s, which is not installed" % (path, error.name)
        ) from error
    except SyntaxError as error:
        raise CannotStart("%s is not valid Python: %s" % (path, error)) from error
    except Exception:
        traceback.print_exc()
        raise
