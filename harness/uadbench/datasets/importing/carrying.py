"""Carrying: items become images in several processes, shard by shard; what is done is kept when it is cut off."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path

from uadbench.datasets.importing.items import Item, Stored
from uadbench.datasets.importing.processing import process
from uadbench.datasets.importing.recipe import Recipe
from uadbench.datasets.importing.shards import SHARD, Form, Shards, is_done, read_facts, write_shard
from uadbench.datasets.importing.workers import spread
from uadbench.errors import UsageError
from uadbench.files.digest import digest_texts
from uadbench.files.layout import LOCK, held, space_checked, write_text_atomically

Report = Callable[[str, int, int], None]
LIBRARIES = ("numpy", "pillow", "scikit-image", "scipy", "uadbench")
_KEY = "key"


def silent(step: str, done: int, total: int) -> None:
    """The default report: nobody listens."""


@contextlib.contextmanager
def working_folder(folder: Path, name: str) -> Iterator[Path]:
    """The folder of an import's unfinished work, held by this process alone.

    Raises:
        UsageError: Another process imports the same dataset.
        EnvironmentProblemError: The folder cannot be written.
    """
    place = _place(folder, name)
    with held(place) as free:
        if not free:
            raise UsageError(f"Another process imports {name} into {folder} now. Wait for it.")
        yield place


def _place(folder: Path, name: str) -> Path:
    return folder / f".{name}.import"


def carry(items: Sequence[Item], recipe: Recipe, folder: Path, workers: int, report: Report = silent) -> Shards:
    """The images of all items, in their order. Shards that an earlier run of the same import left are kept.

    Raises:
        UsageError, InvalidDataError, MissingLibraryError: As `process`; images of different forms.
        EnvironmentProblemError: No space left, or a process died.
    """
    form = Form.of(process(items[0], recipe), items[0].where)
    _keep_only(folder, _key(items, recipe))
    count = -(-len(items) // SHARD)
    open_ = [number for number in range(count) if not is_done(folder, number)]
    tasks = [_Task(folder, number, form, _part(items, number), recipe) for number in open_]
    sizes = [len(task.items) for task in tasks]
    upto = list(accumulate(sizes, initial=len(items) - sum(sizes)))
    report("reading", upto[0], len(items))
    spread(make_shard, tasks, workers, lambda ready: report("reading", upto[ready], len(items)))
    return Shards(folder, form, [one for number in range(count) for one in read_facts(folder, number)])


@dataclass(frozen=True, slots=True)
class _Task:
    """One shard to be made."""

    folder: Path
    number: int
    form: Form
    items: Sequence[Item]
    recipe: Recipe


def _part(items: Sequence[Item], number: int) -> Sequence[Item]:
    return items[number * SHARD : (number + 1) * SHARD]


def make_shard(task: _Task) -> None:
    """Process the items of one shard and write it."""
    images = []
    for item in task.items:
        one = process(item, task.recipe)
        task.form.check(one, item)
        images.append(one)
    write_shard(task.folder, task.number, task.form, images)


def _key(items: Sequence[Item], recipe: Recipe) -> str:
    """What the images depend on: items, recipe, the source files as they are, and the libraries."""
    stamps: dict[tuple[object, str], str] = {}
    for item in items:
        for stored in (item.picture, item.mask, item.foreground):
            if stored is not None:
                stamps.setdefault((stored.source, stored.file), _stamp(stored))
    libraries = [f"{name} {version(name)}" for name in LIBRARIES]
    return digest_texts([repr(recipe), *map(_pixels_of, items), *stamps.values(), *libraries])


def _pixels_of(item: Item) -> str:
    """The part of an item that its image depends on: who is in which split may still change."""
    return repr(
        (item.name, item.picture, item.mask, item.foreground, item.boxes, item.ignored, item.divisor, item.label)
    )


def _stamp(stored: Stored) -> str:
    try:
        return stored.source.stamp(stored.file)
    except (OSError, KeyError):
        return "absent"  # reading it says so, with its row


def _keep_only(folder: Path, key: str) -> None:
    """Remove what another import of this name left unfinished."""
    path = folder / _KEY
    if path.is_file() and path.read_text() == key:
        return
    empty(folder)
    write_text_atomically(path, key)


def empty(folder: Path) -> None:
    """Remove all work in the folder, but not the lock that is held."""
    with space_checked(folder):
        for entry in folder.iterdir():
            if entry.name != LOCK:
                entry.unlink()


def has_shards(folder: Path) -> bool:
    """Whether images are done in the folder."""
    return any(folder.glob("*.json"))


def tidy(folder: Path, name: str) -> None:
    """Remove the unfinished work of a dataset that is whole, if there is any.

    Raises:
        UsageError: Another process imports it.
    """
    if _place(folder, name).is_dir():
        with working_folder(folder, name) as work:
            discard(work)


def discard(folder: Path) -> None:
    """Remove the folder of unfinished work."""
    with space_checked(folder):
        shutil.rmtree(folder)
