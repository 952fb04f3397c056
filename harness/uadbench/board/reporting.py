"""Reporting: what a paper should say of a board's numbers, as sentences to paste."""

from collections import defaultdict

from uadbench import __version__
from uadbench.board.captions import caption
from uadbench.board.facts import Count, Facts
from uadbench.board.rows import Leaderboard

_THRESHOLDS = {
    "healthy-val": "Thresholds come from the healthy validation images; no test image was used for them.",
    "healthy-test": "Thresholds come from the healthy test images, as in the paper that the protocol reproduces.",
}


_WITHOUT_PIXELS = ("image_", "box_", "recon_")


def paragraph(board: Leaderboard, facts: Facts) -> str:
    """Data, protocol, metrics and statistics in plain sentences."""
    sentences = [_harness(board), _data(board, facts), _scoring(board), _metrics(board), _statistics(board),
                 _seeds(board)]  # fmt: skip
    return " ".join(sentence for sentence in sentences if sentence)


def _harness(board: Leaderboard) -> str:
    rules = board.protocol
    makers = {str(result.provenance.get("harness_version") or "") for row in board.rows for result in row.entry.results}
    others = sorted(makers - {"", __version__})
    metrics = sorted({result.metric_version for row in board.rows for result in row.entry.results})
    version = f" (metrics version {metrics[0]})" if metrics else ""
    made = f" Some predictions were made with uadbench {_listed(others)}." if others else ""
    return (
        f"Methods were compared with uadbench {__version__}{version} under the protocol {rules.name} "
        f"(digest {rules.digest[:12]}).{made}"
    )


def _data(board: Leaderboard, facts: Facts) -> str:
    digests = board.dataset
    if digests is None:
        return ""
    name = f"The data are {digests.name}, version {digests.version} (identity digest {digests.identity[:12]})"
    if facts.test is None:
        return f"{name}."
    kinds = ((facts.healthy, "healthy"), (facts.anomalous, "anomalous"))
    split = _listed([f"{count.images} {kind}{_subjects(count)}" for count, kind in kinds if count is not None])
    tested = f"{facts.test.images} test images{_subjects(facts.test)}"
    return f"{name}, with {tested}: {split}." if split else f"{name}, with {tested}."


def _subjects(count: Count) -> str:
    return "" if count.subjects is None else f" ({count.subjects} subjects)"


def _scoring(board: Leaderboard) -> str:
    rules = board.protocol
    pixels = "the foreground pixels" if rules.pixels == "foreground" else "all pixels"
    sentences = ["Every method was fitted on healthy images only."]
    if any("_at_fpr" in metric or metric.startswith("box_") for metric in board.metrics):
        sentences.append(_THRESHOLDS.get(rules.threshold, ""))
    if any(not metric.startswith(_WITHOUT_PIXELS) for metric in board.metrics):
        sentences.append(f"Pixel metrics count {pixels} of the test images whose pixels are annotated.")
    return " ".join(sentences)


def _metrics(board: Leaderboard) -> str:
    primary, *others = board.metrics
    ranked = f"Methods are ranked by {_defined(primary)}."
    if not caption(primary).graded:
        ranked = f"Methods are listed by {_defined(primary)}, and not ranked."
    return f"{ranked} Also reported: {'; '.join(map(_defined, others))}." if others else ranked


def _defined(metric: str) -> str:
    """Title and meaning, as part of a sentence."""
    known = caption(metric)
    parts = [part for part in known.meaning.rstrip(".").split(". ") if part]
    parts += ["lower is better"] if known.lower_is_better else []
    return f"{known.title} ({'; '.join(map(_lowered, parts))})" if parts else known.title


def _lowered(sentence: str) -> str:
    """The sentence with a small first letter, unless it begins with a name or an abbreviation."""
    named = sentence.startswith("Dice") or not sentence[1:2].strip(" ").islower()
    return sentence if named and not sentence.startswith("A ") else sentence[0].lower() + sentence[1:]


def _statistics(board: Leaderboard) -> str:
    rules = board.protocol
    return (
        f"Intervals are 95 % percentile intervals of {rules.resamples:,} bootstrap resamples of subjects (seed "
        f"{rules.resample_seed}), the same ones for every method. A rank is the interval of places left open by paired "
        "tests between methods, adjusted by Holm's procedure at level 0.05."
    )


def _seeds(board: Leaderboard) -> str:
    counts: dict[int, list[str]] = defaultdict(list)
    for row in board.rows:
        counts[len(row.entry.results)].append(row.label)
    if not counts:
        return ""
    most, *rest = sorted(counts, key=lambda count: len(counts[count]), reverse=True)
    others = [f"{_seeded(count)} for {_listed(counts[count])}" for count in rest]
    whom = "all other methods" if others else "every method"
    return f"Values are means over seeds: {_listed([*others, f'{_seeded(most)} for {whom}'])}."


def _seeded(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
