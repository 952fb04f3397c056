"""`import_plan`: a plan in, the two files of a dataset and a report out, with its leaks found."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from uadbench.datasets.importing.carrying import carry, discard, has_shards, working_folder
from uadbench.datasets.importing.chosen import Chosen, healthy_first
from uadbench.datasets.importing.items import Item, Plan
from uadbench.datasets.importing.leaks import Terms, apart, marks, without_leaks
from uadbench.datasets.importing.reading import read_steps
from uadbench.datasets.importing.reporting import ImportReport, counts, steps
from uadbench.datasets.importing.subjects import with_subjects
from uadbench.errors import EnvironmentProblemError, InvalidDataError, LeakError, MissingLibraryError, UadbenchError
from uadbench.files.dataset import stream_dataset
from uadbench.files.images import SPLITS


def require_libraries(modules: Sequence[str] = ("pandas", "skimage", "PIL")) -> None:
    """Refuses to start without the libraries of the extra `import`.

    Raises:
        MissingLibraryError: Names the first that is missing.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise MissingLibraryError(
                f"An import needs {module}, which does not load ({error}). Run `pip install 'uadbench[import]'`."
            ) from error


def import_plan(plan: Plan, folder: Path, terms: Terms) -> ImportReport:
    """Writes the dataset of a plan into `folder`, and returns what was done.

    Cut off, it goes on where it was when it is called again. A dataset that is refused leaves nothing behind, but for
    the images that are done when only a leak stands against them, or what the machine lacks.

    Raises:
        UsageError: An option that does not fit; another process at the same dataset.
        InvalidDataError: A picture, mask or box that breaks its rule; an anomalous training image; an empty split; a
            leak that is not allowed (`LeakError`).
        MissingLibraryError: A library of the extra `import`, or of a compression.
        EnvironmentProblemError: The files cannot be written.
    """
    require_libraries(("skimage", "PIL"))
    folder = Path(folder)
    with working_folder(folder, plan.card.name) as work:
        try:
            report = _import(plan, folder, work, terms)
        except UadbenchError as error:
            if not (isinstance(error, LeakError | EnvironmentProblemError) and has_shards(work)):
                discard(work)
            raise
        discard(work)
    return report


def _import(plan: Plan, folder: Path, work: Path, terms: Terms) -> ImportReport:
    items, left_out = list(plan.items), dict(plan.left_out)
    known = all(item.subject for item in items)
    if known or plan.settle is None:
        items, left_out = _taken(plan, items, left_out, terms)
    shards = carry(items, plan.recipe, work, terms.workers, terms.report)
    read = items
    if not known:
        items, left_out = _taken(plan, with_subjects(items, shards, terms.report), left_out, terms)
    chosen, audit, dropped = without_leaks(plan.card.name, Chosen.of(shards, read, items), terms)
    left_out = _added(left_out, dropped)
    facts = [shards.facts[row] for row in chosen.rows]
    left_out = {reason: n for reason, n in left_out.items() if n}
    dropping = ({"step": "leave out", "images": left_out},) if left_out else ()
    shown = read_steps(item.picture for item in chosen.items)
    done = (*plan.selection, *dropping, *shown, *steps(plan.recipe, facts, shards.form.bits))
    card = replace(plan.card, preprocessing=done, leaks=marks(chosen.items, audit))
    paths = stream_dataset(
        folder, card, {split: chosen.split(split) for split in SPLITS}, lambda n, of: terms.report("writing", n, of)
    )
    return ImportReport(
        paths=paths,
        counts=counts(chosen.items),
        left_out=left_out,
        clipped=sum(one.clipped for one in facts),
        pixels=sum(one.stored for one in facts),
        outside=sum(one.outside for one in facts),
        marked=sum(one.marked for one in facts),
        preprocessing=card.preprocessing,
        audit=audit,
    )


def _taken(plan: Plan, items: list[Item], left_out: dict[str, int], terms: Terms) -> tuple[list[Item], dict[str, int]]:
    """The items that are taken, with their splits; and what is left out by now."""
    drawn, more = plan.settle(items) if plan.settle else (items, {})
    taken, rest = healthy_first(drawn)
    left_out = _added(left_out, {**more, **rest})
    _require_splits(plan, taken, left_out)
    taken, dropped = apart(plan.card.name, taken, terms)
    left_out = _added(left_out, dropped)
    _require_splits(plan, taken, left_out)
    return taken, left_out


def _added(left_out: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {reason: left_out.get(reason, 0) + more.get(reason, 0) for reason in (*left_out, *more)}


def _require_splits(plan: Plan, items: Sequence[Item], left_out: Mapping[str, int]) -> None:
    for split in SPLITS:
        if not any(item.split == split for item in items):
            reasons = ", ".join(f"{n} ({reason})" for reason, n in left_out.items() if n)
            raise InvalidDataError(
                f"Split {split!r} of {plan.card.name} is empty. A dataset has images in train, val and test. "
                f"Left out: {reasons or 'nothing'}."
            )
