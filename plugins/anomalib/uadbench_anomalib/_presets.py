"""What can be known of anomalib's models without importing anomalib, which takes many seconds.

`paper` is a model with anomalib's own settings. `quick` has few epochs, and for some EfficientNet-Lite0 as backbone.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from uadbench import MethodSpec
from uadbench.errors import EnvironmentProblemError

LIBRARY, MAJOR = "anomalib", "2"
LITE0 = "tf_efficientnet_lite0"
TWO, THREE = "layers=['blocks.2','blocks.4']", "layers=['blocks.1','blocks.2','blocks.4']"
QUICK: Mapping[str, Mapping[str, Any]] = {
    "padim": {"settings": f"backbone={LITE0} {THREE} n_features=100", "size": 128},
    "patchcore": {"settings": f"backbone={LITE0} {TWO} coreset_sampling_ratio=0.001", "size": 128},
    "stfpm": {"settings": f"backbone={LITE0} {THREE}", "size": 128, "epochs": 5},
}
FEW = {"epochs": 5}


def offered() -> Sequence[MethodSpec]:
    """One method per model.

    Raises:
        EnvironmentProblemError: anomalib is not installed, or of another major version than 2.
    """
    _require_version()
    spec = find_spec(LIBRARY)
    folders = [Path(place) / "models" / "image" for place in (spec and spec.submodule_search_locations) or ()]
    names = sorted(path.parent.name for folder in folders for path in folder.glob("*/lightning_model.py"))
    return [_method(name) for name in names]


def _method(name: str) -> MethodSpec:
    quick = QUICK.get(name, FEW)
    return MethodSpec(
        name=f"{LIBRARY}:{name}",
        target="uadbench_anomalib.model:AnomalibModel",
        title=f"{name} of anomalib",
        paper="Akcay et al., Anomalib: a deep learning library for anomaly detection, ICIP 2022",
        presets={"paper": {"model": name}, "quick": {"model": name, **quick}},
        stochastic=True,
        weights=(LITE0,) if name in QUICK else (),
        cost=120,
        needs=(LIBRARY,),
    )


def _require_version() -> None:
    remedy = f"Install it with `pip install '{LIBRARY}>={MAJOR},<{int(MAJOR) + 1}'`, or remove uadbench-{LIBRARY}."
    try:
        found = version(LIBRARY)
    except PackageNotFoundError as error:
        raise EnvironmentProblemError(f"{LIBRARY} is not installed. {remedy}") from error
    if found.partition(".")[0] != MAJOR:
        raise EnvironmentProblemError(f"{LIBRARY} {found} is installed; this plugin knows version {MAJOR}. {remedy}")
