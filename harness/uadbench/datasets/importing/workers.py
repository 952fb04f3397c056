"""Processes that share the work of an import, and that end when the command ends, however it ends."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from uadbench.errors import EnvironmentProblemError

Asked = TypeVar("Asked")
Told = TypeVar("Told")


def spread(
    work: Callable[[Asked], Told], things: Sequence[Asked], workers: int, report: Callable[[int], None]
) -> list[Told]:
    """`work` of each thing, in order; in processes where there are several. `report` hears how many are done.

    `work` is a module's function. Ctrl-C ends the processes at once, without a word of theirs.

    Raises:
        EnvironmentProblemError: A process died.
    """
    found: list[Told] = []
    with contextlib.closing(_answers(work, things, workers)) as answers:
        for answer in answers:
            found.append(answer)
            report(len(found))
    return found


def _answers(work: Callable[[Asked], Told], things: Sequence[Asked], workers: int) -> Generator[Told, None, None]:
    count = min(workers, len(things))
    if count <= 1:
        yield from map(work, things)
        return
    others = multiprocessing.active_children()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent) as pool:
        with _interrupts_blocked():
            futures = [pool.submit(work, thing) for thing in things]
        try:
            for future in futures:
                yield future.result()
        except BrokenProcessPool as error:
            raise EnvironmentProblemError(
                "A process of the import died; too little memory is the usual cause. Run it again with --workers 1: "
                "images that are done are kept."
            ) from error
        except Exception:
            for future in futures:
                future.cancel()
            raise
        except BaseException:
            for process in multiprocessing.active_children():
                if process not in others:
                    process.terminate()
            raise


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Processes that are started here never hear of Ctrl-C, which the terminal sends to them too; this one hears of it
    afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # not on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """Ends this process when its parent was killed: it would wait for work for ever, and what it is at would come into
    the folder of the next import."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
