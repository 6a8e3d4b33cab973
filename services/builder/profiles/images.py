"""Images: how large they are, how many channels they have, and how bright they are."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np

from services.builder.profiles.categories import Categories
from services.builder.profiles.numbers import Numbers
from shared.profile import ImageSummary

CHANNELS: Final = 4
"""A last dimension of more than that is the width of an image that has one channel."""


class _Kept(msgspec.Struct, frozen=True):
    rows: int
    sizes: bytes
    channels: bytes
    brightness: bytes


class Images:
    def __init__(self) -> None:
        self.rows = 0
        self.sizes = Categories()
        self.channels = Categories()
        self.brightness = Numbers()

    def add(self, values: np.ndarray[Any, Any]) -> None:
        """Arrays of [height, width], with channels behind and many of them before, or not."""
        if values.ndim < 2 or not values.size:
            return
        coloured = values.ndim > 2 and values.shape[-1] <= CHANNELS
        height, width = values.shape[-3:-1] if coloured else values.shape[-2:]
        channels = values.shape[-1] if coloured else 1
        images = values.reshape(-1, height * width * channels)
        many = len(images)
        self.rows += many
        self.sizes.add([f"{height}x{width}"] * many)
        self.channels.add([str(channels)] * many)
        self.brightness.add(images.astype(np.float64).mean(axis=1))

    def merge(self, other: Images) -> None:
        self.rows += other.rows
        self.sizes.merge(other.sizes)
        self.channels.merge(other.channels)
        self.brightness.merge(other.brightness)

    def summary(self) -> ImageSummary:
        return ImageSummary(
            rows=self.rows,
            sizes=self.sizes.summary(),
            channels=self.channels.summary(),
            brightness=self.brightness.summary(),
        )

    def dump(self) -> bytes:
        parts = (self.sizes.dump(), self.channels.dump(), self.brightness.dump())
        return msgspec.msgpack.encode(_Kept(self.rows, *parts))

    @classmethod
    def load(cls, kept: bytes) -> Images:
        found = msgspec.msgpack.decode(kept, type=_Kept)
        made = cls()
        made.rows = found.rows
        made.sizes = Categories.load(found.sizes)
        made.channels = Categories.load(found.channels)
        made.brightness = Numbers.load(found.brightness)
        return made
