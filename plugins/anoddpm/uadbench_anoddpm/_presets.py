"""What can be known of the method without importing it: paper, presets and cost.

The method's defaults are its `paper` preset. `quick` lets two CPU cores fit and score brain-phantom-v1 in a minute: a
quarter of the side, with the paper's octaves down to 2 pixels there (1 and 0.5 would be left), a thin network, 480
large steps, a mean of the weights that forgets as fast, and five jumps of DDIM back.
"""

from collections.abc import Mapping
from typing import Any

from uadbench import MethodSpec

QUICK: Mapping[str, Any] = {
    "width": 8,
    "multipliers": (1, 2, 4),
    "res_blocks": 1,
    "attention": (),
    "heads": 1,
    "size": 32,
    "epochs": 16,
    "steps": 0,
    "batch": 8,
    "lr": 3e-3,
    "ema_decay": 0.98,
    "frequency": 16.0,
    "octaves": 4,
    "sampler": "ddim",
    "ddim_steps": 5,
}

METHODS = (
    MethodSpec(
        name="anoddpm",
        target="uadbench_anoddpm.anoddpm:AnoDdpm",
        title="Diffusion model with simplex noise (AnoDDPM)",
        paper="Wyatt et al., AnoDDPM: anomaly detection with denoising diffusion probabilistic models using simplex "
        "noise, CVPRW 2022",
        presets={"paper": {}, "quick": QUICK},
        stochastic=True,
        reconstructs=True,
        cost=50,
        needs=("torch", "monai", "einops"),
    ),
)
