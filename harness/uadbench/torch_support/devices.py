"""Devices: which ones torch sees, and refusing one that it does not. Imports torch only when asked about CUDA."""

import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager

from uadbench.errors import DeviceMemoryError, EnvironmentProblemError, MissingLibraryError, UsageError

# the words of CUDA, of Linux, of Windows, and of cuBLAS and cuDNN
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


def cuda_devices() -> tuple[str, ...]:
    """Names of the CUDA devices in the order of cuda:0, cuda:1, ...; empty without torch."""
    if importlib.util.find_spec("torch") is None:
        return ()
    import torch

    return tuple(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))


def require_device(device: str) -> None:
    """Refuses a device that is not there; the CPU always is.

    Raises:
        UsageError: Neither cpu nor cuda.
        MissingLibraryError: A CUDA device, but no torch.
        EnvironmentProblemError: torch sees no such device.
    """
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise UsageError(f"Device {device!r} is unknown. Give cpu, cuda or cuda:N.")
    if device == "cpu":
        return
    if importlib.util.find_spec("torch") is None:
        raise MissingLibraryError(
            f"Device {device!r} needs the library 'torch', which is not installed. "
            "Install it with `pip install 'uadbench[torch]'`."
        )
    if int(device.partition(":")[2] or 0) >= len(cuda_devices()):
        raise EnvironmentProblemError(
            f"Device {device!r}: torch sees no such device. Use --device cpu, or see `uadbench doctor`."
        )


@contextmanager
def memory_checked(count: int, what: str = "batch") -> Iterator[None]:
    """Turns torch's refusal to allocate for `count` images into one sentence with the batch to try.

    `what` is the word for those images: the parameter to lower.

    Raises:
        DeviceMemoryError: The device has too little memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not isinstance(error, MemoryError) and not any(words in str(error).lower() for words in NO_MEMORY):
            raise
        smaller = f"Try a {what} of {count // 2}" if count >= 4 else "Try smaller images"
        raise DeviceMemoryError(
            f"The device has too little memory for a {what} of {count}. {smaller}, or another device."
        ) from error
