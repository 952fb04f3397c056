"""An import of 20,000 pictures: the memory of all its processes together, whatever the number of pictures."""

import csv
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow
MANY, SIDE, MOST_MIB = 20_000, 256, 600
SPLITS = ("train", "train", "train", "val", "test")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """20,000 pictures, each another smooth field of grey, and their manifest; half of the test images are anomalous."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("pictures")
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "split", "label", "patient_id"])
        for number in range(MANY):
            split, name = SPLITS[number % 5], f"{number:05d}.png"
            coarse = np.random.default_rng(number).integers(0, 256, (12, 12), dtype=np.uint8)
            image.fromarray(coarse).resize((SIDE, SIDE), image.Resampling.BICUBIC).save(folder / name, compress_level=1)
            rows.writerow([name, split, int(split == "test" and number % 2), f"patient {number}"])
    return folder


def imported(source: Path, target: Path) -> tuple[float, float]:
    """Seconds of the import, and the most MiB that its processes held together."""
    command = [
        sys.executable, "-m", "uadbench", "data", "import", "manifest", str(source), "--name", "many-v1", "--licence",
        "none", "--citation", "nobody", "--size", str(SIDE), "--foreground", "all", "--to", str(target), "--force",
    ]  # fmt: skip
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    peaks = [0.0]
    watch = threading.Thread(target=_watched, args=(process, peaks))
    watch.start()
    said = process.communicate()[0]
    watch.join()
    assert process.returncode == 0, said[-2000:]
    return time.monotonic() - start, max(peaks)


def _watched(process: subprocess.Popen, peaks: list[float]) -> None:
    while process.poll() is None:
        peaks.append(sum(map(_mib, _family(process.pid))))
        time.sleep(0.2)


def _family(pid: int) -> list[int]:
    """The process and all that it started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(member for child in children for member in _family(int(child)))]


def _mib(pid: int) -> float:
    """A process's share of memory: what processes have in common counts once."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux says what a process holds")
def test_an_import_of_20_000_pictures_keeps_its_memory(benchmark, pictures, tmp_path):
    seconds, mib = benchmark.pedantic(imported, (pictures, tmp_path), rounds=1)
    what = (
        f"import and audit of {MANY:,} pictures of {SIDE} x {SIDE} pixels, {os.cpu_count()} processes and their parent"
    )
    benchmark.extra_info.update(what=what, mib_at_most=round(mib), target_mib=MOST_MIB, seconds_in_all=round(seconds))
    assert mib < MOST_MIB
