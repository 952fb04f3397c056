"""What a metric is called on a board, and in one sentence what it means."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caption:
    """The heading of a metric's column. `graded` = a higher value is better, so the best one may be marked."""

    title: str
    meaning: str
    graded: bool = True


_CAPTIONS = {
    "image_auroc": Caption(
        "Image AUROC", "Chance that an anomalous image scores higher than a healthy one; ties half."
    ),
    "image_ap": Caption("Image AP", "Average precision over images, step-wise."),
    "pixel_ap": Caption(
        "Pixel AP", "Average precision over pooled pixels, step-wise; a constant map has the prevalence."
    ),
    "pixel_auroc": Caption("Pixel AUROC", "Area under the ROC curve over pooled pixels; ties half."),
    "oracle_dice": Caption(
        "Oracle Dice", "Best Dice over all thresholds. An oracle: the threshold is chosen on the masks."
    ),
    "dice_at_fpr5": Caption("Dice @ 5 % FPR", "Dice at the threshold that marks 5 % of healthy validation pixels."),
    "box_f1": Caption("Box F1", "Mean F1 over annotated boxes at the 5 % threshold, by counts of pixels."),
}


def caption(metric: str) -> Caption:
    """The caption of a metric; one that is not known is headed by its own name."""
    return _CAPTIONS.get(metric) or Caption(metric.replace("_", " "), "", graded=False)


def number(value: float) -> str:
    """A metric value as every table prints it: three decimals."""
    return f"{value:.3f}"


def span(low: float, high: float) -> str:
    """An interval as every table prints it."""
    return f"{number(low)}–{number(high)}"
