"""Peak memory of this process and of its accelerator, in MiB."""

import sys
from pathlib import Path

_MIB = 2**20
_STATUS = Path("/proc/self/status")


def peak_mib() -> float:
    """The largest resident memory of this process so far, in MiB.

    Linux hands the peak of the parent down to a new process in `ru_maxrss`, but not in `VmHWM`, so that is read where
    it exists. Source: getrusage(2), proc_pid_status(5).
    """
    if _STATUS.is_file():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / _MIB
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, others KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MIB


def device_peak_mib(device: str) -> float | None:
    """The most that torch had allocated on a CUDA device since the last reset, in MiB; None without CUDA or torch."""
    torch = sys.modules.get("torch")
    if torch is None or not device.startswith("cuda"):
        return None
    return float(torch.cuda.max_memory_allocated(device)) / _MIB


def reset_device_peak(device: str) -> None:
    """Start counting the peak of a CUDA device anew."""
    torch = sys.modules.get("torch")
    if torch is not None and device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)


def synchronise(device: str) -> None:
    """Wait until a CUDA device has done what it was asked for; a CPU always has."""
    torch = sys.modules.get("torch")
    if torch is not None and device.startswith("cuda"):
        torch.cuda.synchronize(device)
