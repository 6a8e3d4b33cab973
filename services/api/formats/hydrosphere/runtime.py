"""Which runtimes the platform serves itself, and how their models are called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final, Literal

import msgspec

from shared.errors import Invalid

DEFAULT: Final = {"hydrosphere/serving-runtime-python-3*": "", "slipway/model-server*": ""}
TENSORS: Final = (2, 3, 1)  # up to this one, Hydrosphere's runtime passes messages
_HYDROSPHERE: Final = "serving-runtime-python"
_VERSION: Final = re.compile(r"v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?(?![\d.])")
_HUB: Final = re.compile(r"(?:https?://)?(?:(?:index\.|registry-1\.)?docker\.io/)")


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """`base` is what the model's image stands on; "" is the target's usual one."""

    base: str
    server: Literal["runtime", "platform"]
    calls: Literal["tensors", "arrays"] = "arrays"


def known(text: str, field: str) -> Mapping[str, str]:
    """Patterns of images and their bases, from JSON; "" is the usual ones. Raises Invalid."""
    if not text:
        return DEFAULT
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise Invalid(field, f"must be a JSON object of images and their bases: {error}") from error


def runtime(image: str, known: Mapping[str, str]) -> Runtime:
    """`known` are patterns of the images that the platform serves itself, and their bases.

    >>> runtime("hydrosphere/serving-runtime-python-3.7:2.3.1", DEFAULT).calls
    'tensors'
    >>> runtime("ann/my-runtime:1", DEFAULT).server
    'runtime'
    """
    plain = _HUB.sub("", image, count=1)
    base = next((base for pattern, base in known.items() if fnmatchcase(plain, pattern)), None)
    if base is None:
        return Runtime(base=image, server="runtime")
    return Runtime(base=base, server="platform", calls=_calls(plain))


def _calls(image: str) -> Literal["tensors", "arrays"]:
    name, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    version = _VERSION.match(tag)
    if not name.startswith(_HYDROSPHERE) or version is None:
        return "arrays"
    numbers = tuple(int(number or 0) for number in version.groups())
    return "tensors" if numbers <= TENSORS else "arrays"
