"""What a metric is called on a board, in one sentence what it means, and which way is better."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caption:
    """The heading of a metric's column.

    `graded` = its values may be compared between methods, so that the best one is marked and rows may be ranked by it.
    """

    title: str
    meaning: str
    lower_is_better: bool = False
    graded: bool = True

    @property
    def heading(self) -> str:
        """The title, with an arrow down where lower is better."""
        return f"{self.title} ↓" if self.lower_is_better else self.title

    @property
    def sign(self) -> int:
        """1, or -1 where lower is better: a value times its sign is higher when it is better."""
        return -1 if self.lower_is_better else 1


_DICE = "Dice of pooled pixels at the threshold that marks {} % of healthy pixels."
_COMPARE = "Only to compare with published numbers: it depends on the scale of the maps, so it is never ranked."
_REGIONS = {
    "": "between healthy test images and their reconstructions",
    "_inside": "between reconstruction and clean image inside the mask",
    "_outside": "between reconstruction and clean image outside the mask",
}

_CAPTIONS = {
    "image_auroc": Caption(
        "Image AUROC", "Chance that an anomalous image scores higher than a healthy one; ties half."
    ),
    "image_ap": Caption("Image AP", "Average precision over images, step-wise; a constant score has the prevalence."),
    "image_fpr_at_tpr95": Caption(
        "Image FPR @ 95 % TPR",
        "Share of healthy images that score as high as the threshold which finds 95 % of the anomalous ones.",
        lower_is_better=True,
    ),
    "image_recall_at_fpr5": Caption(
        "Image recall @ 5 % FPR", "Share of anomalous images above the score that 5 % of healthy images exceed."
    ),
    "pixel_ap": Caption(
        "Pixel AP", "Average precision over pooled pixels, step-wise; a constant map has the prevalence."
    ),
    "pixel_ap_per_image": Caption(
        "Pixel AP per image", "Average precision over the pixels of one image, averaged over anomalous images."
    ),
    "pixel_auroc": Caption("Pixel AUROC", "Area under the ROC curve over pooled pixels; ties half."),
    "aupro": Caption(
        "AUPRO", "Mean overlap with connected regions of the masks against the pixel FPR, up to 0.3, divided by 0.3."
    ),
    "oracle_dice": Caption(
        "Oracle Dice", "Best Dice over all thresholds. An oracle: the threshold is chosen on the masks."
    ),
    "dice_at_fpr5": Caption("Dice @ 5 % FPR", _DICE.format(5)),
    "dice_at_fpr1": Caption("Dice @ 1 % FPR", _DICE.format(1)),
    "recall_at_fpr5": Caption(
        "Pixel recall @ 5 % FPR", "Share of anomalous pixels above the threshold that marks 5 % of healthy pixels."
    ),
    "lesion_recall_at_fpr5": Caption(
        "Lesion recall @ 5 % FPR",
        "Share of connected regions with at least 10 % of their pixels above the 5 % threshold.",
    ),
    "subject_dice_at_fpr5": Caption(
        "Subject Dice @ 5 % FPR", "Dice over the images of one subject at the 5 % threshold, averaged over subjects."
    ),
    "subject_auroc": Caption(
        "Subject AUROC", "Pixel AUROC over all images of one subject, averaged over subjects with anomalous pixels."
    ),
    "box_f1": Caption("Box F1", "Mean F1 over annotated boxes at the 5 % threshold, by counts of pixels."),
    "box_f1_foreground": Caption(
        "Box F1, foreground", "Mean F1 over annotated boxes at the 5 % threshold of foreground pixels, by counts."
    ),
    "box_f1_paper": Caption("Box F1, paper", f"F1 over boxes by sums of map values. {_COMPARE}", graded=False),
    "box_f1_code": Caption("Box F1, code", f"F1 over boxes as the published code rounds it. {_COMPARE}", graded=False),
    "box_iou_f1": Caption(
        "Box F1 @ IoU 0.3", "F1 of boxes around connected regions above the 5 % threshold, matched at IoU 0.3."
    ),
    "recon_lpips": Caption(
        "Recon LPIPS",
        "Perceptual distance between healthy test images and their reconstructions.",
        lower_is_better=True,
    ),
}
for _end, _where in _REGIONS.items():
    _words = _end.replace("_", " ")
    _CAPTIONS |= {
        f"recon_ssim{_end}": Caption(f"Recon SSIM{_words}", f"Structural similarity {_where}."),
        f"recon_mse{_end}": Caption(f"Recon MSE{_words}", f"Mean squared error {_where}.", lower_is_better=True),
        f"recon_mae{_end}": Caption(f"Recon MAE{_words}", f"Mean absolute error {_where}.", lower_is_better=True),
    }


def caption(metric: str) -> Caption:
    """The caption of a metric; one that is not known is headed by its own name and never ranked."""
    return _CAPTIONS.get(metric) or Caption(metric.replace("_", " "), "", graded=False)


def number(value: float) -> str:
    """A metric value as every table prints it: three decimals."""
    return f"{value:.3f}"


def span(low: float, high: float) -> str:
    """An interval as every table prints it."""
    return f"{number(low)}–{number(high)}"
