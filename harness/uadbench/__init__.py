"""uadbench: how well does a method that has seen only healthy images find what is wrong in a medical image?

Names are imported on first use, so that `import uadbench` costs nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "DatasetSpec": "uadbench.hookspecs",
    "Detector": "uadbench.types",
    "FitContext": "uadbench.types",
    "ImageSource": "uadbench.types",
    "Images": "uadbench.types",
    "Inpainter": "uadbench.types",
    "Method": "uadbench.types",
    "MethodSpec": "uadbench.hookspecs",
    "Prediction": "uadbench.types",
    "PredictionWriter": "uadbench.files.predictions",
    "Progress": "uadbench.types",
    "Result": "uadbench.files.results",
    "Truth": "uadbench.types",
    "fit_predict": "uadbench.fitting",
    "hookimpl": "uadbench.hookspecs",
    "pack_predictions": "uadbench.packing",
    "run": "uadbench.runs.local",
    "score": "uadbench.scoring",
}
__all__ = [
    "DatasetSpec",
    "Detector",
    "FitContext",
    "ImageSource",
    "Images",
    "Inpainter",
    "Method",
    "MethodSpec",
    "Prediction",
    "PredictionWriter",
    "Progress",
    "Result",
    "Truth",
    "fit_predict",
    "hookimpl",
    "pack_predictions",
    "run",
    "score",
]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "metrics"])


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    if name == "metrics":
        return import_module("uadbench.metrics")
    raise AttributeError(f"module 'uadbench' has no attribute {name!r}")
