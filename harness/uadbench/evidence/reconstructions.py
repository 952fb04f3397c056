"""Reconstruction evidence: how near each reconstruction is to the healthy image."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from uadbench.evidence.reading import MapReader
from uadbench.metrics.reconstruction import WINDOW, mae, mse, ssim, ssim_in
from uadbench.types import Truth

WHOLE = {"recon_ssim": ssim, "recon_mse": mse, "recon_mae": mae}
IN_REGION = {"recon_ssim": ssim_in, "recon_mse": mse, "recon_mae": mae}


@dataclass(frozen=True, slots=True)
class ReconstructionEvidence:
    """Values per image by metric, NaN where an image has none.

    `recon_*` compares healthy test images with themselves; `recon_*_inside` and `recon_*_outside` compare anomalous
    images with their clean twin, inside and outside the mask. An image that was given no twin is stored as its own,
    and is not compared.
    """

    values: Mapping[str, Float[np.ndarray, " n"]]


def reconstructions_of(truth: Truth, test: MapReader) -> ReconstructionEvidence | None:
    """The evidence, or None where the method returns no reconstruction."""
    if test.reconstruction(0) is None or min(test.source.shape[1:]) < WINDOW:
        return None
    names = [*WHOLE, *(f"{name}_{place}" for name in IN_REGION for place in ("inside", "outside"))]
    values = {name: np.full(len(truth), np.nan) for name in names}
    for row in range(len(truth)):
        image = test.source[row : row + 1].pixels[0]
        twin = None if truth.clean is None or np.array_equal(truth.clean[row], image) else truth.clean[row]
        compared = not truth.labels[row] or (twin is not None and truth.masks[row].any())
        reconstruction = test.reconstruction(row) if compared else None
        if reconstruction is None:
            continue
        if not truth.labels[row]:
            for name, measure in WHOLE.items():
                values[name][row] = measure(image, reconstruction)
        elif twin is not None:
            for place, region in (("inside", truth.masks[row]), ("outside", ~truth.masks[row])):
                for name, measure_in in IN_REGION.items() if region.any() else ():
                    values[f"{name}_{place}"][row] = measure_in(twin, reconstruction, region)
    return ReconstructionEvidence(values)
