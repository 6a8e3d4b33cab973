"""What is to be read of a source, and what else its owner asks for, where the format says so."""

from __future__ import annotations

import msgspec

from services.builder.python import pipconf
from services.builder.python.pipconf import Own


class Request(msgspec.Struct, frozen=True, kw_only=True):
    files: tuple[str, ...] = ()  # requirements files, relative to the source
    packages: tuple[str, ...] = ()
    own: Own = Own()  # where from, over what the settings file says
    conf: str = pipconf.NAME  # the settings file


NOTHING = Request()
