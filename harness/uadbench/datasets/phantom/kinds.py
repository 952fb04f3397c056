"""The twelve kinds of anomaly, in the order of the test split; the names are those in the truth file."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from uadbench.datasets.phantom.anomaly import Change, Patient
from uadbench.datasets.phantom.disease import mass, stroke, wm_lesions
from uadbench.datasets.phantom.displacement import sink, source, ventricles
from uadbench.datasets.phantom.motion import motion
from uadbench.datasets.phantom.sprites import copy_paste, hyper_ellipse, hypo_ellipse, iso_ellipse, pixel_shuffle

KINDS: Mapping[str, Callable[[Patient, np.random.Generator], Change]] = MappingProxyType(
    {
        "hypo-ellipse": hypo_ellipse,
        "hyper-ellipse": hyper_ellipse,
        "iso-ellipse": iso_ellipse,
        "copy-paste": copy_paste,
        "pixel-shuffle": pixel_shuffle,
        "sink": sink,
        "source": source,
        "stroke": stroke,
        "mass": mass,
        "ventricles": ventricles,
        "wm-lesions": wm_lesions,
        "motion": motion,
    }
)
