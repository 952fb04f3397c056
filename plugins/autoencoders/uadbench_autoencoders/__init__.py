"""Autoencoders: what a network that has learned healthy images cannot reconstruct is anomalous."""

from collections.abc import Sequence

from uadbench import MethodSpec, hookimpl


@hookimpl
def uadbench_methods() -> Sequence[MethodSpec]:
    """The methods of this package."""
    as_published = {"latent": 16, "epochs": 250, "batch": 64, "lr": 1e-3}
    return [
        MethodSpec(
            name="ae-latent",
            target="uadbench_autoencoders.ae_latent:LatentAutoencoder",
            title="Autoencoder with a small latent",
            paper="Cai et al., Rethinking autoencoders for medical anomaly detection, MICCAI 2024",
            presets={
                "quick": {"latent": 16, "epochs": 60, "batch": 16, "lr": 1e-3},
                "paper": as_published,
                "ae4ad-2024": as_published,
            },
            stochastic=True,
            reconstructs=True,
            cost=40.0,
            needs=("torch",),
        ),
    ]
