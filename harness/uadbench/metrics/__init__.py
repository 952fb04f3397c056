"""Metrics as plain functions on arrays; each returns a float, or raises where it has no value."""

from uadbench.metrics.box import box_f1
from uadbench.metrics.image import image_ap, image_auroc
from uadbench.metrics.pixel import dice, oracle_dice, pixel_ap, pixel_auroc, threshold_at_fpr

VERSION = "1"

__all__ = [
    "VERSION",
    "box_f1",
    "dice",
    "image_ap",
    "image_auroc",
    "oracle_dice",
    "pixel_ap",
    "pixel_auroc",
    "threshold_at_fpr",
]
