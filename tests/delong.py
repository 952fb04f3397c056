"""DeLong's variance of an AUROC and of a paired difference, and the subject bootstrap that is compared with it.

Source: DeLong, DeLong and Clarke-Pearson, Biometrics 1988, eq. 4-6 (structural components), by midranks as in Sun and
Xu, IEEE Signal Processing Letters 2014.
"""

import numpy as np
from scipy.stats import rankdata

from uadbench.evidence import Evidence
from uadbench.measures import MEASURES, Stratum
from uadbench.types import Truth


def components(scores, labels):
    """Per anomalous image the share of healthy ones below it, per healthy one of anomalous ones above it; ties half."""
    every, (m, n) = rankdata(scores), (labels.sum(), (~labels).sum())
    below = (every[labels] - rankdata(scores[labels])) / n
    above = 1 - (every[~labels] - rankdata(scores[~labels])) / m
    return below, above


def variance(scores, labels):
    """Variance of the AUROC of independent images."""
    return sum(np.var(side, ddof=1) / len(side) for side in components(scores, labels))


def difference_variance(first, second, labels):
    """Variance of the AUROC of the first scores minus that of the second on the same images."""
    both = zip(components(first, labels), components(second, labels), strict=True)
    return sum(np.var(one - two, ddof=1) / len(one) for one, two in both)


def bootstrap(scores, labels, weights, subjects=None):
    """AUROCs of the resamples as `score` draws them; by default every image is a subject of its own."""
    n = len(scores)
    truth = Truth(("",) * n, ("",) * n, labels, ("",) * n, ("image",) * n, np.zeros((n, 1, 1), bool))
    subject_of = np.arange(n) if subjects is None else subjects
    evidence = Evidence(truth, scores, subject_of, thresholds=None, pixels=None, boxes=None, reconstructions=None)
    return MEASURES["image_auroc"](Stratum("all", (), np.ones(n, bool), evidence, weights)).draws
