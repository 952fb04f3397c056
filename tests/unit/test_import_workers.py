"""The processes of an import: same answers as one process, and none that stays when the command ends."""

import os
import signal
import subprocess
import sys
import time

import pytest

from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import source_at
from uadbench.datasets.importing.workers import spread
from uadbench.errors import EnvironmentProblemError, InvalidDataError

# Says when its first process is at work; the others would sleep for a minute. It hears Ctrl-C also where the tests run
# in the background of a shell, which starts such commands deaf to it.
SLEEPER = """
import signal, time
from uadbench.datasets.importing.workers import spread
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    spread(time.sleep, [0, 60, 60, 60], 2, lambda done: print(done, flush=True))
"""


@pytest.fixture
def sleeper(tmp_path):
    """A command that is at work in two processes, in a group of its own as in a terminal."""
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    command = [sys.executable, str(tmp_path / "sleeper.py")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout.readline() == "1\n"
        yield process
        if anyone(process.pid):
            os.killpg(process.pid, signal.SIGKILL)


def anyone(group):
    """Whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def is_empty_soon(group):
    until = time.monotonic() + 30
    while anyone(group) and time.monotonic() < until:
        time.sleep(0.02)
    return not anyone(group)


def test_ctrl_c_ends_all_processes_and_only_the_command_says_so(sleeper):
    os.killpg(sleeper.pid, signal.SIGINT)
    said = sleeper.communicate(timeout=30)[1]
    assert said.count("Traceback") == 1
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert is_empty_soon(sleeper.pid)


def test_no_process_outlives_a_command_that_was_killed(sleeper):
    sleeper.kill()
    sleeper.wait()
    assert is_empty_soon(sleeper.pid)


@pytest.mark.parametrize("workers", [1, 2])
def test_answers_come_in_order_and_are_counted(workers):
    heard: list[int] = []
    assert spread(abs, [-3, 2, -1], workers, heard.append) == [3, 2, 1]
    assert heard == [1, 2, 3]


def test_what_a_process_raises_comes_out_as_it_is(tmp_path):
    with pytest.raises(InvalidDataError, match="absent: neither a folder nor a readable zip"):
        spread(source_at, [tmp_path, tmp_path / "absent", tmp_path], 2, print)


def test_a_process_that_dies_is_said_with_its_remedy():
    with pytest.raises(EnvironmentProblemError, match=r"A process of the import died.*--workers 1"):
        Request({}, workers=2).survey(os._exit, [1, 1], "looking")
