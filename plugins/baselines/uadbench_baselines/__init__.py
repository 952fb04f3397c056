"""The canaries: trivial methods that every board shows, so that a result can be seen to beat nothing."""

from dataclasses import replace

from uadbench.hookspecs import MethodSpec, hookimpl

MEISSEN_2021 = "Meissen et al., MICCAI BrainLes 2021, arXiv:2109.06023"
MEISSEN_2022 = "Meissen et al., MIDL 2022, arXiv:2202.03826"
JACKSON_1979 = "Jackson and Mudholkar, Technometrics 1979"


@hookimpl
def uadbench_methods() -> tuple[MethodSpec, ...]:
    """Eight canaries, from knowing nothing to a linear model of healthy images."""
    return (
        _canary("constant", "constant:Constant", "Nothing is anomalous", cost=1.0),
        replace(_canary("random", "random:Random", "Noise", cost=2.0), stochastic=True),
        _canary("intensity", "intensity:Intensity", "The image itself", cost=1.0),
        _canary("inverted-intensity", "inverted_intensity:InvertedIntensity", "The negative image", cost=1.0),
        _canary("hist-eq", "hist_eq:HistogramEqualised", "Histogram-equalised image", MEISSEN_2021, cost=3.0),
        _canary("blur-residual", "blur_residual:BlurResidual", "Residual to a blurred self", MEISSEN_2022, cost=3.0),
        _canary("mean-residual", "mean_residual:MeanResidual", "Residual to the mean healthy image", cost=2.0),
        replace(
            _canary(
                "pca-residual", "pca_residual:PCAResidual", "Residual to a PCA reconstruction", JACKSON_1979, cost=9.0
            ),
            reconstructs=True,
        ),
    )


def _canary(name: str, target: str, title: str, paper: str = "", *, cost: float) -> MethodSpec:
    return MethodSpec(
        name=name,
        target=f"{__name__}.{target}",
        title=title,
        paper=paper,
        presets={"quick": {}, "paper": {}},
        cost=cost,
        canary=True,
    )
