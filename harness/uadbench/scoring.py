"""Scoring: a pure function of a protocol and three files. Thresholds come from healthy validation, never from test."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from uadbench import metrics, protocols
from uadbench.errors import InvalidDataError, UndefinedMetricError
from uadbench.evidence import Evidence, MapReader, gather, healthy_thresholds
from uadbench.files.images import Dataset, open_images
from uadbench.files.predictions import FEW_LEVELS, PredictionFile, open_predictions
from uadbench.files.results import OVERALL, Curve, DatasetDigests, ProtocolDigest, Result, Value
from uadbench.files.truth import TruthFile, open_truth
from uadbench.intervals import FEWEST_SUBJECTS, percentile_interval, resample_counts
from uadbench.measures import MEASURES, Measured, Stratum, strata
from uadbench.metrics.curves import pr_curve, roc_curve
from uadbench.protocols import Protocol


def score(
    protocol: Protocol | str, images: Dataset | Path, truth: TruthFile | Path, predictions: PredictionFile | Path
) -> Result:
    """Every metric of the protocol, overall and per pathology, with 95 % subject-bootstrap intervals.

    Source: protocols, "Metrics" and "Statistics".

    Raises:
        InvalidDataError: Files of different datasets, a dataset that the protocol is not about, predictions of other
            images, or of another size.
        UndefinedMetricError: A protocol with thresholds from healthy test images, and none in the test split.
    """
    rules = protocols.protocol(protocol) if isinstance(protocol, str) else protocol
    dataset = images if isinstance(images, Dataset) else open_images(images)
    known = truth if isinstance(truth, TruthFile) else open_truth(truth)
    predicted = predictions if isinstance(predictions, PredictionFile) else open_predictions(predictions)
    _require_one_dataset(rules, dataset, known, predicted)
    have = len(set(predicted["test"].ids) & set(dataset["test"].ids)), len(dataset["test"])
    complete = have[0] == have[1] and set(predicted["val"].ids) == set(dataset["val"].ids)
    values, draws, curves = (
        _measured(rules, dataset, known, predicted) if complete else (_incomplete(rules, have), (), {})
    )
    digests = dataset.digests
    return Result(
        schema="uadbench-result-v1",
        protocol=ProtocolDigest(name=rules.name, digest=rules.digest, primary=rules.primary),
        dataset=DatasetDigests(
            name=dataset.card.name,
            version=dataset.card.version,
            identity=digests.identity,
            pixels=digests.pixels,
            leaks=dataset.card.leaks,
        ),
        metric_version=metrics.VERSION,
        provenance=predicted.provenance,
        seal=predicted.seal,
        values=tuple(values),
        draws=tuple(draws),
        curves=curves,
        complete=have if complete else (min(have[0], have[1] - 1), have[1]),
        warnings=tuple(_warnings(rules, dataset, predicted)),
    )


def rules_for(truth: TruthFile) -> Protocol:
    """The shipped protocol of a dataset, or a local one with all metrics for a user's own."""
    return protocols.protocol_for(truth.card.name, has_masks=bool(truth["test"].masks.any()))


def _require_one_dataset(rules: Protocol, dataset: Dataset, truth: TruthFile, predicted: PredictionFile) -> None:
    identity = dataset.digests.identity
    stated = predicted.provenance.get("dataset", {})
    if truth.digests.identity != identity:
        raise InvalidDataError(
            f"{truth.path}: truth of identity {truth.digests.identity[:12]}, but {dataset.path} has "
            f"{identity[:12]}. Give the two files of one dataset."
        )
    if rules.dataset != dataset.card.name or (rules.identity and rules.identity != identity):
        raise InvalidDataError(
            f"Protocol {rules.name} is about {rules.dataset} with identity {rules.identity[:12] or 'any'}; "
            f"{dataset.path} is {dataset.card.name} with {identity[:12]}. "
            "Make the dataset again as `uadbench list datasets` says."
        )
    if stated.get("identity") != identity:
        raise InvalidDataError(
            f"{predicted.path}: predictions for {stated.get('name')} with identity {str(stated.get('identity'))[:12]}, "
            f"not {dataset.card.name} with {identity[:12]}. Run the method on this dataset."
        )
    for split in ("val", "test"):
        foreign = sorted(set(predicted[split].ids) - set(dataset[split].ids))
        if foreign:
            raise InvalidDataError(
                f"{predicted.path}: {len(foreign)} predictions of images that are not in {split}, the "
                f"first {foreign[0]!r}. Predict the images of {dataset.path} only."
            )
        if predicted[split].shape != dataset[split].shape[1:]:
            raise InvalidDataError(
                f"{predicted.path}: {split} maps are {predicted[split].shape}, images "
                f"{dataset[split].shape[1:]}. Give maps of the images' size."
            )


def evidence_of(rules: Protocol, dataset: Dataset, truth: TruthFile, predicted: PredictionFile) -> Evidence:
    """What the metrics are counted from, with the threshold from healthy validation maps.

    Raises:
        InvalidDataError: Predictions of other data, or of some images only.
    """
    _require_one_dataset(rules, dataset, truth, predicted)
    for split in ("val", "test"):
        if len(predicted[split]) != len(dataset[split]):
            raise InvalidDataError(
                f"{predicted.path}: {len(predicted[split])} of {len(dataset[split])} images of {split} are "
                "predicted. Predict all of them."
            )
    val, test = (MapReader(dataset[split], predicted[split], rules.pixels) for split in ("val", "test"))
    if rules.threshold == "healthy-test":
        thresholds = healthy_thresholds(test, np.flatnonzero(~truth["test"].labels))
    else:
        thresholds = healthy_thresholds(val, np.arange(len(val)))
    return gather(truth["test"], test, thresholds)


def _measured(
    rules: Protocol, dataset: Dataset, truth: TruthFile, predicted: PredictionFile
) -> tuple[list[Value], Sequence[float], dict[str, Curve]]:
    evidence = evidence_of(rules, dataset, truth, predicted)
    weights = resample_counts(evidence.subjects, rules.resamples, rules.resample_seed)
    values: list[Value] = []
    draws: Sequence[float] = ()
    parts = strata(evidence, weights, OVERALL)
    for stratum in parts:
        for metric in rules.metrics:
            value, measured = _value(metric, stratum)
            values.append(value)
            if measured and metric == rules.primary and stratum is parts[0]:
                # whether a resample has a value depends on the truth alone, so the draws of two methods stay paired
                draws = [round(float(draw), 7) for draw in measured.draws[np.isfinite(measured.draws)]]
    return values, draws, _curves(parts[0])


def _value(metric: str, stratum: Stratum) -> tuple[Value, Measured | None]:
    evidence = stratum.evidence
    try:
        measured = MEASURES[metric](stratum)
    except UndefinedMetricError as error:
        return Value(metric=metric, stratum=stratum.name, value=None, undefined=str(error)), None
    rows = measured.rows
    subjects = len(set(evidence.subject_of[rows]))
    low, high = percentile_interval(measured.draws) if enough_subjects(evidence, measured) else (None, None)
    return Value(
        metric=metric,
        stratum=stratum.name,
        value=measured.value,
        low=low,
        high=high,
        subjects=subjects,
        images=int(rows.sum()),
        cases=measured.cases,
        details=measured.details,
    ), measured


def enough_subjects(evidence: Evidence, measured: Measured) -> bool:
    """Whether a metric's images are of enough anomalous subjects for an interval; of healthy ones where it has these.

    Source: protocols, "Statistics".
    """
    anomalous = len(set(evidence.subject_of[measured.rows & evidence.truth.labels]))
    return (anomalous or len(set(evidence.subject_of[measured.rows]))) >= FEWEST_SUBJECTS


def _incomplete(rules: Protocol, have: tuple[int, int]) -> list[Value]:
    reason = f"incomplete: {have[0]} of {have[1]} test images are predicted, and every validation image must be."
    return [Value(metric=metric, value=None, undefined=reason) for metric in rules.metrics]


def _curves(stratum: Stratum) -> dict[str, Curve]:
    curves = {}
    for level, counts in (("image", stratum.scores), ("pixel", stratum.pixels)):
        if all(counts.totals):
            for kind, curve in (("roc", roc_curve), ("pr", pr_curve)):
                x, y = curve(counts)
                curves[f"{level}_{kind}"] = Curve(x=tuple(np.round(x, 6).tolist()), y=tuple(np.round(y, 6).tolist()))
    return curves


def _warnings(rules: Protocol, dataset: Dataset, predicted: PredictionFile) -> list[str]:
    warnings = [f"The dataset leaks: {leak}" for leak in dataset.card.leaks]
    if rules.threshold == "healthy-test":
        warnings.append("Thresholds were taken from the healthy test images, as the paper did.")
    if predicted.distinct_values < FEW_LEVELS:
        warnings.append(
            f"The test maps have {predicted.distinct_values} distinct values only; ties decide the pixel metrics."
        )
    if predicted.provenance.get("dataset", {}).get("pixels") != dataset.digests.pixels:
        warnings.append("The method saw pixels with another digest than this copy of the dataset (same identity).")
    return warnings
