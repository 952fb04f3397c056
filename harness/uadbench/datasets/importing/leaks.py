"""Leaks: what is in two splits is refused, dropped, or allowed and marked."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from uadbench.auditing import Audit, Specimen, audit
from uadbench.datasets.importing.carrying import Report, silent
from uadbench.datasets.importing.chosen import Chosen
from uadbench.datasets.importing.items import Item
from uadbench.errors import LeakError, UsageError
from uadbench.files.images import SPLITS

LEAKS = ("refuse", "drop", "allow")
MOST = 3  # sentences in an error


@dataclass(frozen=True, slots=True)
class Terms:
    """How an import is carried out: number of processes, and what happens to leaks.

    `leaks`: "refuse" stops; "drop" leaves out of train and val what is also in a later split; "allow" keeps them, and
    marks the dataset and every row on it. `report` hears the step's name, what is done, and all.

    Raises:
        UsageError: No process, or another word for leaks.
    """

    workers: int = 1
    leaks: str = "refuse"
    report: Report = silent

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"--workers {self.workers}: give 1 or more.")
        if self.leaks not in LEAKS:
            raise UsageError(f"Leaks {self.leaks!r}: give one of {', '.join(LEAKS)}.")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two items of different splits, by their indices, that are of one subject or one known group of duplicates."""

    first: int
    second: int
    sentence: str
    group: bool = False


def known_pairs(items: Sequence[Item]) -> list[Pair]:
    """What leaks by what the source states, before a pixel is read."""
    subjects, groups = dict[str, int](), dict[str, int]()
    found = []
    for place, item in enumerate(items):
        one = subjects.setdefault(item.subject, place) if item.subject else place
        if items[one].split != item.split:
            said = (
                f"{item.where} in {item.split!r}: subject {item.subject!r} is also in {items[one].split!r}, as "
                f"{items[one].where}."
            )
            found.append(Pair(one, place, said))
        one = groups.setdefault(item.group, place) if item.group else place
        if items[one].split != item.split:
            said = (
                f"{item.where} in {item.split!r} is a near-duplicate (dup_group {item.group!r}) of {items[one].where} "
                f"in {items[one].split!r}."
            )
            found.append(Pair(one, place, said, group=True))
    return found


def apart(name: str, items: Sequence[Item], terms: Terms) -> tuple[list[Item], dict[str, int]]:
    """The items without what is known to leak, as the terms say, and how many were dropped.

    Raises:
        LeakError: A leak, on terms that refuse it.
    """
    pairs = known_pairs(items)
    if pairs and terms.leaks == "refuse":
        raise LeakError(_refusal(name, [one.sentence for one in pairs]))
    if not pairs or terms.leaks == "allow":
        return list(items), {}
    latest = dict[str, int]()
    for item in items:
        for key in _keys(item):
            latest[key] = max(latest.get(key, 0), SPLITS.index(item.split))
    kept = [item for item in items if all(latest[key] == SPLITS.index(item.split) for key in _keys(item))]
    return kept, {"also in a later split": len(items) - len(kept)}


def _keys(item: Item) -> list[str]:
    return [f"{what} {value}" for what, value in (("subject", item.subject), ("group", item.group)) if value]


def without_leaks(name: str, chosen: Chosen, terms: Terms) -> tuple[Chosen, Audit, Mapping[str, int]]:
    """The images that an import takes, the audit of them, and how many were dropped for a leak.

    Raises:
        LeakError: A leak, on terms that refuse it.
    """
    found = audited(name, chosen, terms)
    if not found.leaks or terms.leaks == "allow":
        return chosen, found, {}
    if terms.leaks == "refuse":
        raise LeakError(_refusal(name, [f"{one.sentence} The first: {one.pairs[0]}." for one in found.leaks]))
    dropped = 0
    while found.leaks:  # a finding holds no more than its first thousand pairs
        kept = _without(chosen.items, found)
        dropped += kept.count(False)
        chosen = chosen.keeping(kept)
        found = audited(name, chosen, terms)
    return chosen, found, {"also in a later split": dropped}


def marks(items: Sequence[Item], found: Audit) -> tuple[str, ...]:
    """What the card of a dataset with allowed leaks says. It names nobody: methods can read it."""
    pairs = [sorted((items[one.first].split, items[one.second].split), key=SPLITS.index) for one in known_pairs(items)
             if one.group]  # fmt: skip
    groups = Counter(map(tuple, pairs))
    known = [f"Known copies between {first} and {second}: {n}." for (first, second), n in sorted(groups.items())]
    # a sentence may list names after its colon
    audited_ = [f"{one.sentence.partition(': ')[0].rstrip('.')}." for one in found.leaks]
    return (*known, *audited_)


def audited(name: str, chosen: Chosen, terms: Terms) -> Audit:
    """The audit of chosen images."""
    specimens = [
        Specimen(item.name, item.split, bool(item.label), item.subject, item.pathology) for item in chosen.items
    ]
    return audit(name, specimens, chosen.scan, lambda done, total: terms.report("auditing", done, total))


def _without(items: Sequence[Item], found: Audit) -> list[bool]:
    """Which items stay when of each leaking pair the one in the earlier split goes."""
    kept = [True] * len(items)
    for leak in found.leaks:
        for pair in leak.pairs:
            rows = (pair.first.row, pair.second.row)
            kept[min(rows, key=lambda row: SPLITS.index(items[row].split))] = False
    return kept


def _refusal(name: str, sentences: Sequence[str]) -> str:
    more = f" and {len(sentences) - MOST} more" if len(sentences) > MOST else ""
    return (
        f"{name} leaks: {' '.join(sentences[:MOST])}{more} Leave out of train and val what is also in a later split "
        "with --drop-leaks, or keep it, marked for all to see, with --allow-leak. What is read by now is kept for that."
    )
