"""Thresholds: from healthy images alone, so that no number needs a test label."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from uadbench.errors import UndefinedMetricError
from uadbench.evidence.reading import MapReader, blocks
from uadbench.metrics.box import threshold_on_grid
from uadbench.metrics.counting import PixelCounter, Tally, tally, threshold_at

FEWEST_IMAGES = 20


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Values t for `> t` at 5 % or 1 % false positives on healthy images; None where one has no value.

    `fpr5` and `fpr1` over the pixels that the protocol counts; `frame5` over whole frames, `foreground5` over the
    foreground, `grid5` over whole frames on the grid of 0.001; `image5` over anomaly scores.
    """

    fpr5: float
    fpr1: float
    frame5: float
    foreground5: float | None
    grid5: float | None
    image5: float | None


def healthy_thresholds(reader: MapReader, rows: Int[np.ndarray, " r"]) -> Thresholds:
    """The thresholds of the healthy images in these rows.

    Source: RA, MIDL 2023, sec. 4.2, on healthy validation images instead of healthy test images.

    Raises:
        UndefinedMetricError: No healthy image.
    """
    counted, frame, foreground = PixelCounter(), PixelCounter(), PixelCounter()
    for some in blocks(rows):
        maps = reader.maps(some)
        frame.add(maps)
        counted.add(maps[reader.counted(some)])
        foreground.add(maps[reader.foreground[some]])
    pixels, whole, body = counted.tally(), frame.tally(), foreground.tally()
    scores = reader.scores[rows]
    return Thresholds(
        fpr5=threshold_at(pixels, 0.05),
        fpr1=threshold_at(pixels, 0.01),
        frame5=threshold_at(whole, 0.05),
        foreground5=threshold_at(body, 0.05) if len(body.values) else None,
        grid5=_on_grid(whole),
        image5=threshold_at(tally(scores, np.zeros(len(scores), bool)), 0.05) if len(rows) >= FEWEST_IMAGES else None,
    )


def _on_grid(whole: Tally) -> float | None:
    try:
        return threshold_on_grid(whole, 0.05)
    except UndefinedMetricError:
        return None
