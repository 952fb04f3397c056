"""Every metric of the protocols by name: one definition, one function."""

from collections.abc import Mapping
from functools import partial

from uadbench.measures import box, image, pixel, reconstruction, subject
from uadbench.measures.stratum import Measure
from uadbench.metrics import counting

_RECONSTRUCTION = [f"recon_{what}{place}" for what in ("ssim", "mse", "mae") for place in ("", "_inside", "_outside")]

MEASURES: Mapping[str, Measure] = {
    "image_auroc": image.ranking("image_auroc", counting.auroc),
    "image_ap": image.ranking("image_ap", counting.average_precision),
    "image_fpr_at_tpr95": image.ranking("image_fpr_at_tpr95", partial(counting.fpr_at_tpr, tpr=0.95)),
    "image_recall_at_fpr5": image.image_recall_at_fpr5,
    "pixel_ap": pixel.ranking("pixel_ap", counting.average_precision),
    "pixel_ap_per_image": pixel.pixel_ap_per_image,
    "pixel_auroc": pixel.ranking("pixel_auroc", counting.auroc),
    "aupro": pixel.aupro,
    "oracle_dice": pixel.ranking("oracle_dice", counting.best_dice),
    "dice_at_fpr5": pixel.dice("dice_at_fpr5", "fpr5"),
    "dice_at_fpr1": pixel.dice("dice_at_fpr1", "fpr1"),
    "recall_at_fpr5": pixel.recall_at_fpr5,
    "lesion_recall_at_fpr5": pixel.lesion_recall_at_fpr5,
    "subject_dice_at_fpr5": subject.subject_dice_at_fpr5,
    "subject_auroc": subject.subject_auroc,
    "box_f1": box.mean_f1("box_f1"),
    "box_f1_foreground": box.mean_f1("box_f1_foreground"),
    "box_f1_paper": box.mean_f1("box_f1_paper"),
    "box_f1_code": box.mean_f1("box_f1_code"),
    "box_iou_f1": box.box_iou_f1,
    **{name: reconstruction.mean_quality(name) for name in _RECONSTRUCTION},
}
