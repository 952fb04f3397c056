"""The layout of MVTec AD: healthy pictures to train, healthy and defective ones to test, and masks of the defects.

Source: Bergmann et al., CVPR 2019 (MVTec AD).
Deviates: a tenth of the training pictures, by subject, validates.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from uadbench.datasets.importing.items import Item, Plan, Stored
from uadbench.datasets.importing.pictures import SUFFIXES
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import Source
from uadbench.datasets.importing.splitting import tenth_validates
from uadbench.errors import InvalidDataError

GOOD, MASKS, MASK_ENDING = "good", "ground_truth", "_mask"
PARTS = ("train", "test", MASKS)
LAYOUT = (
    f"Give [CATEGORY/]train/{GOOD}/, [CATEGORY/]test/{GOOD}/, [CATEGORY/]test/DEFECT/ and "
    f"[CATEGORY/]{MASKS}/DEFECT/<name of the picture>{MASK_ENDING}.png."
)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the layout: of which category, in which part, of which kind ("good" or a defect)."""

    file: str
    category: str
    part: str
    kind: str

    @property
    def stem(self) -> str:
        return PurePosixPath(self.file).stem

    @property
    def name(self) -> str:
        """Its path from the category on, which does not depend on what the folders above are called."""
        return "/".join(filter(None, (self.category, self.part, self.kind, PurePosixPath(self.file).name)))


def plans(request: Request) -> Sequence[Plan]:
    """The one dataset, as its user names it.

    Raises:
        UsageError: The user does not say what it is.
        InvalidDataError: Another layout, defects among the training pictures, or a defect without its mask.
    """
    options, seed, source = request.stated, request.seed, request.roots["mvtec"]
    files, left_out = _files(source)
    masks = _masks(files)
    pictures = [one for one in files if one.part != MASKS]
    _require_masks(pictures, masks)
    several = len({one.category for one in pictures}) > 1
    items = [_item(source, one, masks.get(_key(one)), several) for one in pictures]
    unused = masks.keys() - {_key(one) for one in pictures}
    left_out["mask of no picture"] = len(unused)
    rule = "train and test as published; a tenth of the subjects of train validates, in each category alike"
    return (
        Plan(
            options.card,
            items,
            options.recipe,
            left_out,
            ({"step": "split", "rule": rule, "seed": seed},),
            lambda found: (tenth_validates(found, seed), {}),
        ),
    )


def _files(source: Source) -> tuple[list[_File], dict[str, int]]:
    """The files of the layout, and how many others there are."""
    found: list[tuple[tuple[str, ...], str]] = []
    left_out = Counter[str]()
    for file in source.names():
        parts = PurePosixPath(file).parts
        if len(parts) < 3 or parts[-3] not in PARTS:
            left_out[f"outside the folders of {', '.join(PARTS)}"] += 1
        elif not file.lower().endswith(SUFFIXES):
            left_out["no picture by its ending"] += 1
        else:
            found.append((parts, file))
    above = _shared([parts[:-3] for parts, _ in found])
    files = [_File(file, "/".join(parts[above:-3]), parts[-3], parts[-2]) for parts, file in found]
    for part in ("train", "test"):
        if not any(one.part == part and one.kind == GOOD for one in files):
            raise InvalidDataError(f"{source}: holds no picture in {part}/{GOOD}. {LAYOUT}")
    for one in files:
        if one.part == "train" and one.kind != GOOD:
            raise InvalidDataError(f"{one.file}: a training picture that is not {GOOD!r}. Move it to test. {LAYOUT}")
    return files, dict(left_out)


def _shared(folders: Iterable[tuple[str, ...]]) -> int:
    """How many folders above the categories are the same for all."""
    same = [len(set(level)) == 1 for level in zip(*folders, strict=False)]
    return [*same, False].index(False)


def _key(one: _File) -> tuple[str, str, str]:
    return one.category, one.kind, one.stem.removesuffix(MASK_ENDING) if one.part == MASKS else one.stem


def _masks(files: Iterable[_File]) -> dict[tuple[str, str, str], str]:
    """The file of each mask."""
    found: dict[tuple[str, str, str], str] = {}
    for one in files:
        if one.part == MASKS and found.setdefault(_key(one), one.file) != one.file:
            raise InvalidDataError(f"{one.file}: {found[_key(one)]!r} is a mask of the same picture. Keep one.")
    return found


def _require_masks(pictures: Iterable[_File], masks: Mapping[tuple[str, str, str], str]) -> None:
    """A category has masks of all its defects, or of none."""
    missing: dict[str, list[str]] = defaultdict(list)
    masked = {category for category, _, _ in masks}
    for one in pictures:
        if one.kind != GOOD and one.category in masked and _key(one) not in masks:
            missing[one.category].append(one.file)
    for files in missing.values():
        raise InvalidDataError(
            f"{len(files)} pictures of defects have no mask in {MASKS}, as {', '.join(files[:3])}. {LAYOUT}"
        )


def _item(source: Source, one: _File, mask: str | None, several: bool) -> Item:
    sick = one.kind != GOOD
    kind = f"{one.category}: {one.kind}" if several else one.kind
    return Item(
        name=one.name,
        picture=Stored(source, one.file),
        where=one.file,
        split=one.part,
        label=int(sick),
        pathology=kind if sick else "healthy",
        annotation=("mask" if mask else "image") if sick else "none",
        mask=Stored(source, mask) if mask and sick else None,
        site=one.category,
    )
