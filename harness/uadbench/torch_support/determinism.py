"""The same seed gives the same numbers: where randomness comes from and which kernels may run.

Promised bit for bit on one machine with one number of threads, on the CPU; on a GPU as far as torch can.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch.utils import deterministic as _fresh_memory

FRESH_MEMORY: Any = _fresh_memory  # its switch is a property that type checkers do not see


@contextmanager
def deterministic(seed: int, device: str) -> Iterator[None]:
    """Seeds torch and asks for deterministic kernels; leaving restores what the caller had.

    A GPU kernel without a deterministic version warns, since some gradients have no other.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    on_gpu = torch.device(device).type == "cuda"
    algorithms = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, filling = torch.backends.cudnn.benchmark, FRESH_MEMORY.fill_uninitialized_memory
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        # torch.manual_seed also notes for CUDA where it was called from, which takes longer than a small batch's loss
        (torch.manual_seed if on_gpu else torch.default_generator.manual_seed)(seed)
        torch.use_deterministic_algorithms(True, warn_only=on_gpu)
        torch.backends.cudnn.benchmark = False
        FRESH_MEMORY.fill_uninitialized_memory = False  # filling is for finding errors; no kernel reads what it fills
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(algorithms[0], warn_only=algorithms[1])
            torch.backends.cudnn.benchmark = benchmark
            FRESH_MEMORY.fill_uninitialized_memory = filling


def generator(seed: int) -> torch.Generator:
    """A stream of random numbers of its own, on the CPU so that it is the same for every device."""
    return torch.Generator().manual_seed(seed)


def generator_of(seed: int, image: Float32[np.ndarray, "c h w"]) -> torch.Generator:
    """A stream that depends on the seed and the image alone, for methods that draw while predicting."""
    content = sha256(np.ascontiguousarray(image).tobytes() + seed.to_bytes(8, "little", signed=True))
    return generator(int.from_bytes(content.digest()[:8], "little"))


def computing(device: str) -> dict[str, str | int]:
    """What last bits depend on: versions, device and threads; recorded beside a run, never forced."""
    on_gpu = torch.device(device).type == "cuda"
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
