"""Seconds until the command line answers, in a process of its own: pytest tests/benchmarks --benchmark-only."""

import subprocess
import sys

import pytest

TARGET_SECONDS = 0.3


@pytest.mark.parametrize("words", [["--help"], ["list", "methods"]], ids=" ".join)
def test_the_command_line_answers(benchmark, words):
    command = [sys.executable, "-m", "uadbench", *words]
    answer = benchmark.pedantic(subprocess.run, (command,), {"capture_output": True}, rounds=7, warmup_rounds=1)
    seconds = benchmark.stats.stats.median
    command_line = " ".join(["uadbench", *words])
    benchmark.extra_info.update(what=f"`{command_line}`", seconds=round(seconds, 2), target_seconds=TARGET_SECONDS)
    print(f"\n{command_line}: {seconds:.2f} s, target below {TARGET_SECONDS} s")
    assert (answer.returncode, answer.stderr) == (0, b"")
