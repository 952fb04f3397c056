"""Timing works against each other for benchmarks."""

import time
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64


def seconds_in_turn(works: list[Callable[[], object]], rounds: int) -> Float64[np.ndarray, "r k"]:
    """Processor seconds of each work in each round, after a round that is not counted.

    The works of a round run one after the other, and backwards in every second round, so that whatever else keeps the
    machine busy lengthens all of them alike.
    """
    seconds = np.empty((rounds + 1, len(works)))
    for number, row in enumerate(seconds):
        for place in range(len(works))[:: -1 if number % 2 else 1]:
            start = time.process_time()
            works[place]()
            row[place] = time.process_time() - start
    return seconds[1:]
