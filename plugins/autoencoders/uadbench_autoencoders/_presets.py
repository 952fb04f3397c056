"""What can be known of the methods without importing them: papers, presets and costs.

A method's own defaults are its `paper` preset; bugs of published code are switches that every preset leaves off.
`quick` differs in size, width, epochs, steps and batch alone, so that two CPU cores fit and score brain-phantom-v1 in
less than half a minute. Three differ in more, without which so few steps teach them less than the mean image knows:
`vae-restoration` takes fewer steps up, `aae` has a rate of 0.0005, and `beta-vae` reaches its capacity in 600 steps at
a rate of 0.002 with a `gamma` of 0.05: at 2, one nat beside the capacity costs as much as the whole error of an image.
"""

from collections.abc import Mapping
from typing import Any

from uadbench import MethodSpec

Preset = Mapping[str, Any]
MORPHAEUS = "Bercea et al., MorphAEus, MICCAI 2023"
RETHINKING = "Cai et al., Rethinking autoencoders for medical anomaly detection, MICCAI 2024"
PITFALLS = "Meissen et al., On the pitfalls of using the residual error as anomaly score, MIDL 2022"
RA_2023: Preset = {"batch": 8, "epochs": 1500, "patience": 500, "augment": True}
UNMASKED: Preset = {"loss": "absolute", "masked": False, "residual": "absolute", "validation": "clean", "steps": 0}
SMALL: Preset = {"size": 64, "batch": 16}


def method(name: str, target: str, title: str, paper: str, presets: Mapping[str, Preset], *, cost: float) -> MethodSpec:
    """A method of this package; `paper` are its defaults unless the presets say otherwise."""
    return MethodSpec(
        name=name,
        target=f"uadbench_autoencoders.{target}",
        title=title,
        paper=paper,
        presets={"paper": {}, **presets},
        stochastic=True,
        reconstructs=True,
        cost=cost,
        needs=("torch",),
    )


METHODS = (
    method(
        "ae-latent",
        "ae_latent:LatentAutoencoder",
        "Autoencoder with a small latent (AE[d])",
        RETHINKING,
        {"quick": {"batch": 16, "epochs": 40}, "ae4ad-2024": {}},
        cost=25,
    ),
    method(
        "vae-latent",
        "vae_latent:LatentVae",
        "Variational autoencoder with a small latent",
        RETHINKING,
        {"quick": {"batch": 16, "epochs": 40}, "ae4ad-2024": {}},
        cost=25,
    ),
    method(
        "memae",
        "memae:MemoryAutoencoder",
        "Autoencoder with a memory of healthy latents",
        "Gong et al., Memorizing normality to detect anomaly, ICCV 2019",
        {"quick": {"batch": 16, "epochs": 40}, "ae4ad-2024": {"similarity": "dot", "shrinkage": 0.0025}},
        cost=25,
    ),
    method(
        "ceae",
        "ceae:ContextAutoencoder",
        "Autoencoder that completes an erased square",
        "Zimmerer et al., Context-encoding variational autoencoder, MIDL 2019",
        {"quick": {"batch": 16, "epochs": 40}, "ae4ad-2024": {}},
        cost=25,
    ),
    method(
        "ae-spatial",
        "ae_spatial:SpatialLatentAutoencoder",
        "Autoencoder with a spatial latent (AE-S)",
        "Baur et al., Autoencoders for unsupervised anomaly segmentation in brain MR images, MedIA 2021",
        {
            "quick": {**SMALL, "batch": 8, "width": 16, "epochs": 20},
            "mor-2023": {},
            "ra-2023": RA_2023,
        },
        cost=25,
    ),
    method(
        "ae-dense",
        "ae_dense:DenseAutoencoder",
        "Autoencoder with a dense latent (AE-D)",
        "Baur et al., Autoencoders for unsupervised anomaly segmentation in brain MR images, MedIA 2021",
        {"quick": {**SMALL, "batch": 8, "width": 16, "epochs": 20}, "mor-2023": {}},
        cost=25,
    ),
    method(
        "vae",
        "vae:Vae",
        "Variational autoencoder without normalisation",
        "Zimmerer et al., Unsupervised anomaly localization using variational auto-encoders, MICCAI 2019",
        {
            "quick": {**SMALL, "batch": 8, "width": 8, "epochs": 30},
            "mor-2023": {},
            "ra-2023": {**RA_2023, "latent": 512},
        },
        cost=25,
    ),
    method(
        "beta-vae",
        "beta_vae:BetaVae",
        "Variational autoencoder whose information grows with training",
        "Burgess et al., Understanding disentangling in beta-VAE, 2018; Higgins et al., ICLR 2017",
        {
            "quick": {**SMALL, "batch": 4, "epochs": 30, "lr": 2e-3, "gamma": 0.05, "capacity_steps": 600},
            "mor-2023": {},
        },
        cost=25,
    ),
    method(
        "aae",
        "aae:AdversarialAutoencoder",
        "Adversarial autoencoder (GPND)",
        "Pidhorskyi et al., Generative probabilistic novelty detection, NeurIPS 2018",
        {
            "quick": {**SMALL, "width": 16, "epochs": 20, "lr": 5e-4},
            "mor-2023": {"lr": 5e-4, "reconstruction": 2.0},
        },
        cost=25,
    ),
    method(
        "dae",
        "dae:DenoisingAutoencoder",
        "Denoising autoencoder with coarse noise",
        "Kascenas et al., Denoising autoencoders for unsupervised anomaly detection in brain MRI, MIDL 2022",
        {
            "quick": {**SMALL, "batch": 4, "width": 16, "epochs": 12},
            "mor-2023": {**UNMASKED, "epochs": 1000, "patience": 25},
            "ra-2023": {**UNMASKED, **RA_2023},
        },
        cost=25,
    ),
    method(
        "vanilla-ae",
        "vanilla_ae:VanillaAutoencoder",
        "Autoencoder with a dense latent",
        PITFALLS,
        {"quick": {**SMALL, "width": 16, "epochs": 10, "steps": 30}, "pit-2022": {}},
        cost=25,
    ),
    method(
        "spatial-ae",
        "spatial_ae:SpatialAutoencoder",
        "Autoencoder with a latent of few channels",
        PITFALLS,
        {"quick": {**SMALL, "width": 16, "epochs": 10, "steps": 30}, "pit-2022": {}},
        cost=25,
    ),
    method(
        "vq-vae",
        "vq_vae:VectorQuantisedVae",
        "Two-level autoencoder with a codebook (VQ-VAE-2)",
        "Razavi et al., Generating diverse high-fidelity images with VQ-VAE-2, NeurIPS 2019; " + PITFALLS,
        {"quick": {**SMALL, "batch": 8, "width": 32, "epochs": 15, "steps": 30}, "pit-2022": {}},
        cost=25,
    ),
    method(
        "vae-restoration",
        "vae_restoration:RestoringVae",
        "Restoration of the image under a VAE with total variation",
        "You et al., Unsupervised lesion detection via image restoration with a normative prior, MIDL 2019",
        {"quick": {**SMALL, "batch": 8, "width": 8, "epochs": 24, "restore_steps": 20}},
        cost=25,
    ),
)
