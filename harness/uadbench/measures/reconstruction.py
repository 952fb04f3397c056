"""Metrics over pseudo-healthy reconstructions, for methods that return them."""

import numpy as np

from uadbench.errors import UndefinedMetricError
from uadbench.measures.stratum import Measure, Measured, Stratum
from uadbench.metrics.reconstruction import WINDOW


def mean_quality(name: str) -> Measure:
    """Mean over images of a reconstruction's nearness to the healthy image.

    Source: protocols, "Metrics"; see `evidence.reconstructions` for which images are compared with what.
    """

    def measure(stratum: Stratum) -> Measured:
        evidence = stratum.evidence.reconstructions
        if evidence is None:
            raise UndefinedMetricError(f"{name}: {_missing(stratum)}")
        images = np.flatnonzero(stratum.rows)
        return stratum.mean_of_cases(name, images, evidence.values[name][images])

    return measure


def _missing(stratum: Stratum) -> str:
    small = min(stratum.evidence.truth.masks.shape[1:]) < WINDOW
    return (
        f"images below {WINDOW} pixels a side are not compared." if small else "the method returns no reconstructions."
    )
