"""Splits: from a file, or drawn by subject. A draw depends on the seed and the subjects' names alone."""

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from uadbench.datasets.importing.items import Item, Plan
from uadbench.errors import InvalidDataError, UsageError
from uadbench.files.images import SPLITS


def shuffled(names: Iterable[str], seed: int) -> list[str]:
    """The names, each once, in an order drawn by the seed; a name more or less does not change that of the others."""
    return sorted(set(names), key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())


def by_subject(items: Sequence[Item], seed: int, *, val: float = 0.1, test: float = 0.2) -> list[Item]:
    """The items with a split each: subjects with an anomalous image go to test; of the others, in each site alike, the
    share `test` to test, `val` to val and the rest to train.

    Raises:
        UsageError: Shares that leave nothing for train.
    """
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise UsageError(f"Shares of val {val:g} and test {test:g}: give two from 0 on with a sum below 1.")
    sick = {item.subject for item in items if item.label}
    sites: dict[str, list[str]] = defaultdict(list)
    for item in items:
        if item.subject not in sick:
            sites[item.site].append(item.subject)
    home = dict.fromkeys(sick, "test")
    for site in sorted(sites):
        order = shuffled(sites[site], seed)
        tests, vals = round(test * len(order)), round(val * len(order))
        for place, subject in enumerate(order):
            home[subject] = "test" if place < tests else "val" if place < tests + vals else "train"
    return [replace(item, split=home[item.subject]) for item in items]


def tenth_validates(items: Sequence[Item], seed: int) -> list[Item]:
    """The items with a tenth of the subjects of train, in each site alike and drawn by the seed, moved to val.

    For published splits without a val; items of train are healthy.
    """
    train = [item for item in items if item.split == "train"]
    others = [item for item in items if item.split != "train"]
    return [*by_subject(train, seed, val=0.1, test=0.0), *others]


def counted(items: Sequence[Item], counts: Sequence[tuple[str, int]], seed: int) -> tuple[list[Item], int]:
    """Whole subjects, drawn by the seed, fill the named splits in turn until each has its number of images; those left
    over get no split, and their number is returned beside the items.

    Raises:
        InvalidDataError: Too few images.
    """
    members: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        members[item.subject].append(item)
    order, home = shuffled(members, seed), dict[str, str]()
    waiting = list(counts)
    found = 0
    for subject in order:
        if not waiting:
            break
        split, wanted = waiting[0]
        home[subject] = split
        found += len(members[subject])
        if found >= wanted:
            waiting.pop(0)
            found = 0
    if waiting:
        raise InvalidDataError(
            f"{len(items)} images of {len(members)} subjects do not fill "
            f"{', '.join(f'{split} {n}' for split, n in counts)}. "
            "Check that the whole dataset is there, or give your own split with --split."
        )
    taken = [replace(item, split=home[item.subject]) for item in items if item.subject in home]
    return taken, len(items) - len(taken)


def read_split(path: Path) -> dict[str, str]:
    """A user's own split: a CSV with the columns `name` and `split`, as name -> split.

    Raises:
        InvalidDataError: Unreadable, a column missing, a name twice, or a split that is none of ours.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidDataError(f"--split {path}: cannot be read as CSV in UTF-8 ({error}). Check the file.") from error
    found: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        name, split = (row.get("name") or "").strip(), (row.get("split") or "").strip()
        if not name or split not in SPLITS:
            raise InvalidDataError(
                f"--split {path}: row {number} has name {name!r} and split {split!r}. Give the columns name and split, "
                f"split one of {', '.join(SPLITS)}."
            )
        if name in found:
            raise InvalidDataError(f"--split {path}: row {number} names {name!r} again. Keep one row of it.")
        found[name] = split
    if not found:
        raise InvalidDataError(f"--split {path}: names no image. Give the columns name and split.")
    return found


def with_split(
    items: Sequence[Item], split: Mapping[str, str], elsewhere: Collection[str] = ()
) -> tuple[list[Item], dict[str, int]]:
    """The items that a split names, and how many it does not. A name is an item's, or its subject's.

    Raises:
        InvalidDataError: A name of the split that is no item's and no subject's, nor one of those `elsewhere`.
    """
    known = names_of(items)
    for name in split:
        if name not in known and name not in elsewhere:
            raise InvalidDataError(
                f"--split names {name!r}, which is no image and no subject here; names look like {items[0].name!r}. "
                "Check the spelling."
            )
    homes = [(item, split.get(item.name) or split.get(item.subject)) for item in items]
    taken = [replace(item, split=home) for item, home in homes if home]
    return taken, {"not named by --split": len(items) - len(taken)}


def names_of(items: Iterable[Item]) -> set[str]:
    """What a split may name: items and their subjects."""
    return {name for item in items for name in (item.name, item.subject)}


def own_split(plan: Plan, path: Path, elsewhere: Collection[str] = ()) -> Plan:
    """The plan with a user's split in place of its own; `elsewhere` are names of datasets that are made with it.

    Raises:
        InvalidDataError: As `read_split`; as `with_split`.
    """
    split = read_split(path)
    step = {"step": "split", "rule": "given", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    selection = (*(one for one in plan.selection if one["step"] != "split"), step)
    return replace(plan, selection=selection, settle=lambda items: with_split(items, split, elsewhere))
