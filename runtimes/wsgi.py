"""Serves the WSGI application of a Valohai endpoint: `python wsgi.py package.module[:callable]`.

The callable is `application` by default, as gunicorn has it. The code folder is the working
directory and is importable.
"""

from __future__ import annotations

import os
import sys

import slipway_server as server


def load(app):
    """The callable that `module[:callable]` names. Raises CannotStart when there is none."""
    module_name, _, attribute = app.partition(":")
    path = path_of(module_name)
    found = server.import_module(module_name, path)
    for part in (attribute or "application").split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise server.CannotStart("%s has no callable %s" % (path, attribute or "application"))
    return found


def path_of(module_name):
    return module_name.replace(".", "/") + ".py"


def main():
    app = sys.argv[1]
    sys.path[0] = os.getcwd()  # in place of our own folder, whose names the owner may use
    module_name = app.partition(":")[0]
    server.must_be_there(module_name, path_of(module_name))
    server.serve(lambda: load(app), server.concurrency_of(server.endpoint()))


if __name__ == "__main__":
    main()
