"""The NVIDIA GPUs of this machine, asked of their driver. Without one there are none."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Any, Final

import pynvml  # type: ignore[import-untyped]

from services.scheduler.driver import Gpu
from shared.endpoint import gpu_type

log = logging.getLogger(__name__)

# what tells apart builds of one type, not types: `NVIDIA A100-SXM4-80GB`, `RTX A6000`
_BUILD: Final = re.compile(r"\d+gb|sxm\d*|pcie|nvl|hbm\w*|gpu|generation|laptop")
_NONE: Final = (
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    pynvml.NVML_ERROR_NOT_FOUND,
    pynvml.NVML_ERROR_NO_PERMISSION,
)


class Nvml:
    def __init__(self, target: str) -> None:
        self._target = target
        self._said = ""

    async def __call__(self) -> Sequence[Gpu]:
        """The GPUs that answer now; one that is lost is left out."""
        return await asyncio.to_thread(self._ask)

    def _ask(self) -> list[Gpu]:
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            self._say(f"no NVIDIA GPUs: {error}", quietly=error.value in _NONE)
            return []
        try:
            return [gpu for n in range(pynvml.nvmlDeviceGetCount()) if (gpu := self._gpu(n))]
        except pynvml.NVMLError as error:
            self._say(f"the NVIDIA driver does not answer: {error}")
            return []
        finally:
            pynvml.nvmlShutdown()

    def _gpu(self, number: int) -> Gpu | None:
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(number)
            uuid = _text(pynvml.nvmlDeviceGetUUID(handle))
            return Gpu(
                id=f"{self._target}/{uuid}",
                type=short_name(_text(pynvml.nvmlDeviceGetName(handle))),
                device=uuid,
                memory=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
            )
        except pynvml.NVMLError as error:
            self._say(f"GPU {number} is left out: {error}")
            return None

    def _say(self, what: str, *, quietly: bool = False) -> None:
        if what != self._said:  # it is asked every few seconds
            log.log(logging.INFO if quietly else logging.WARNING, "%s", what)
            self._said = what


def short_name(name: str) -> str:
    """A type as people write it, from what the driver calls the device.

    >>> [short_name(n) for n in ("NVIDIA H100 80GB HBM3", "NVIDIA RTX A6000", "Tesla T4")]
    ['h100', 'a6000', 't4']
    """
    words = re.split(r"[\s\-_]+", name.lower())
    kept = " ".join(word for word in words if not _BUILD.fullmatch(word))
    return re.sub(r"^rtx(?=a\d)", "", gpu_type(kept or name))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
