"""Checking: what follows from other printed numbers is computed again, and compared with what is printed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from uadbench.references.rows import Reference, index, references

Key = tuple[str, str, str, str]  # source, method, dataset, metric
Checks = Iterator["Inconsistency"]

_AVERAGES = {
    "mor-cxr/average": ("mor-cxr/pneumonia", "mor-cxr/covid"),
    "ra-fastmri-global/average": ("ra-fastmri-global/pathology", "ra-fastmri-global/artefacts"),
}
_SYNTHETIC = ("ra-fastmri-synthetic/intensity", "ra-fastmri-synthetic/texture")
_LOCAL = "ra-fastmri-local"
_BEST_LATENT = {"ae4-rsna": 4, "ae4-vindr": 4, "ae4-brain-tumor": 32, "ae4-brats2021": 16}


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """A number of a reference, `printed`, and what it should be by a rule from other printed numbers, `expected`."""

    reference: Reference
    printed: float
    expected: float
    rule: str

    @property
    def holds(self) -> bool:
        """The two are further apart than one unit of the last printed digit; counts must agree."""
        return abs(self.printed - self.expected) > self.reference.step + 1e-9

    @property
    def sentence(self) -> str:
        """What is printed, and what it should be by which rule, both in the paper's unit."""
        one = self.reference
        printed, expected = (f"{number * one.scale:.4g}" for number in (self.printed, self.expected))
        return f"{one}: {one.metric} is printed as {printed}, but {self.rule} gives {expected}."


def inconsistencies() -> tuple[Inconsistency, ...]:
    """Every printed number that is further from its recomputed value than one unit of its last digit.

    Compared are averages, rows that are printed twice, relative changes, shares of boxes and sums of boxes.
    """
    return tuple(one for one in checks() if one.holds)


def checks() -> Checks:
    """Every comparison that the printed numbers allow, whether it holds or not."""
    known = index(references())
    for rule in (_averages, _repetitions, _changes, _claims, _shares, _boxes):
        yield from rule(known)


def _averages(known: Mapping[Key, Reference]) -> Checks:
    """Averages over two datasets; in RA Table 2(a) their spreads are averages too."""
    for (source, method, dataset, metric), one in known.items():
        cells = [known.get((source, method, part, metric)) for part in _AVERAGES.get(dataset, ())]
        found = [cell for cell in cells if cell is not None]
        if found:
            yield Inconsistency(one, one.value, fmean(cell.value for cell in found), "the mean of its parts")
        spreads = [cell.spread for cell in found if cell.spread is not None]
        if one.spread is not None and spreads:
            yield Inconsistency(one, one.spread, fmean(spreads), "the mean of its parts' spreads")


def _repetitions(known: Mapping[Key, Reference]) -> Checks:
    """Rows that a paper prints in two places."""
    for (source, method, dataset, metric), one in known.items():
        twins = {
            "MOR Fig. 5(a)": [("MOR Table 1", "MorphAEus")] if method.endswith("w. PL, w. M") else [],
            "RA Table 3": [("RA Table 2(a)", "RA"), ("RA Table 2(b)", "RA")] if method == "RA" else [],
            "AE4 Table 2": [("AE4 Table 1", f"AE, d={latent}") for latent in _latent(method, dataset)],
        }.get(source, [])
        for place, twin in twins:
            first = known.get((place, twin, dataset, metric))
            if first is not None:
                yield Inconsistency(one, one.value, first.value, place)


def _latent(method: str, dataset: str) -> tuple[int, ...]:
    """The latent dimension of the plain autoencoder in AE4 Table 2."""
    return {"AE": (16,), "AE[d_opt]": (_BEST_LATENT.get(dataset, 16),)}.get(method, ())


def _changes(known: Mapping[Key, Reference]) -> Checks:
    """PHA prints the change of PHANES against the best baseline, and of every other method against PHANES."""
    best = {"PHA Table 1": "RA", "PHA Table 2": "AnoDDPM"}
    for (source, method, dataset, metric), one in known.items():
        if source in best and metric.startswith("change of "):
            measured = metric.removeprefix("change of ")
            other = best[source] if method.startswith("PHANES") else "PHANES"
            value, base = (known[source, name, dataset, measured].value for name in (method, other))
            yield Inconsistency(one, one.value, value / base - 1, f"the change against {other}")


def _claims(known: Mapping[Key, Reference]) -> Checks:
    """RA's text claims mean changes of AUPRC that follow from Table 1(b)."""
    for baseline, method in (("SI-VAE", "RA vs SI-VAE"), ("DAE", "RA vs best baseline")):
        claim = known["RA text", method, "ra-fastmri-synthetic/average", "change of pixel_ap"]
        pairs = [
            [known["RA Table 1(b)", name, part, "pixel_ap"].value for name in ("RA", baseline)] for part in _SYNTHETIC
        ]
        expected = fmean(ours / theirs - 1 for ours, theirs in pairs)
        yield Inconsistency(claim, claim.value, expected, f"Table 1(b) against {baseline}")


def _shares(known: Mapping[Key, Reference]) -> Checks:
    """The share of boxes detected follows from their number."""
    boxes = known["RA Table 2(b)", "paper", _LOCAL, "boxes"].value
    for (source, method, dataset, metric), one in known.items():
        if metric == "share detected" and dataset == _LOCAL:
            detected = known[source, method, dataset, "#Detected"].value
            yield Inconsistency(one, one.value, detected / boxes, f"the number detected of {boxes:g}")


def _boxes(known: Mapping[Key, Reference]) -> Checks:
    """RA lists its boxes class by class; the code's split files hold them too."""
    listed = [one for (source, *_), one in known.items() if source == "RA App. C.3"]
    for one in listed:
        stored = known["RA code", "published splits", one.dataset, "boxes"].value
        yield Inconsistency(one, one.value, stored, "the published split files")
    total = known["RA Table 2(b)", "paper", _LOCAL, "boxes"]
    yield Inconsistency(total, total.value, sum(one.value for one in listed), "the sum over the classes of App. C.3")
