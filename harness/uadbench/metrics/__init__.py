"""Metrics as plain functions on arrays; each returns a float, or raises where it has no value."""

from uadbench.metrics.box import box_f1
from uadbench.metrics.detection import box_iou_f1
from uadbench.metrics.image import image_ap, image_auroc, image_fpr_at_tpr95
from uadbench.metrics.pixel import dice, oracle_dice, pixel_ap, pixel_auroc, threshold_at_fpr
from uadbench.metrics.reconstruction import mae, mse, ssim
from uadbench.metrics.region import aupro, lesion_recall

VERSION = "1"

__all__ = [
    "VERSION",
    "aupro",
    "box_f1",
    "box_iou_f1",
    "dice",
    "image_ap",
    "image_auroc",
    "image_fpr_at_tpr95",
    "lesion_recall",
    "mae",
    "mse",
    "oracle_dice",
    "pixel_ap",
    "pixel_auroc",
    "ssim",
    "threshold_at_fpr",
]
