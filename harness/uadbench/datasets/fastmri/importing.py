"""fastmri-global-v1 and fastmri-local-v1: RA's test sets on fastMRI+.

Source: RA, MIDL 2023, sec. 4 and App. C.2, C.3.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from uadbench.datasets.fastmri.annotations import CLASSES, Annotations, Marked, read_annotations
from uadbench.datasets.fastmri.roles import ARTEFACT, LOCAL, PATHOLOGY, TEST, Role, roles, with_slices
from uadbench.datasets.fastmri.scanned import CITATION, LICENCE, RECIPE, Healthy, Scans, healthy_brains
from uadbench.datasets.importing.items import Item, Plan
from uadbench.datasets.importing.request import Request
from uadbench.errors import InvalidDataError
from uadbench.files.images import Card

GLOBAL, LOCALLY = "fastmri-global-v1", "fastmri-local-v1"
TABLE = "brain.csv"
# Of an image whose boxes have more than one class. To name it by all of them would make groups of one image each, by
# one of them would hide the others; the classes themselves are with the boxes.
SEVERAL = "several classes"
_GLOBAL_NAMES = {PATHOLOGY: "pathology", ARTEFACT: "artefacts"}


def plans(request: Request) -> Sequence[Plan]:
    """The two datasets; their train, val and healthy test images are the same.

    Raises:
        InvalidDataError: A root without its files, a listed file that is missing, or a table that breaks its rule.
    """
    annotations, listed = annotations_of(request), with_slices(roles())
    scans = Scans.of(request.roots["fastmri"])
    scans.require(one.file for one in listed)
    healthy = healthy_brains(request)
    shared = [*healthy.items, *(scans.item(one, "test") for one in listed if one.role == TEST)]
    return (
        _global(healthy, [*shared, *(_of_whole_image(scans, one) for one in listed if one.role in _GLOBAL_NAMES)]),
        _local(healthy, shared, [one for one in listed if one.role == LOCAL], scans, annotations),
    )


def annotations_of(request: Request) -> Annotations:
    """The table in the root `annotations`, wherever below it.

    Raises:
        InvalidDataError: It is not there, or breaks its rule.
    """
    source = request.roots["annotations"]
    found = [name for name in source.names() if name.rpartition("/")[2] == TABLE]
    if len(found) != 1:
        raise InvalidDataError(
            f"Root annotations: holds {len(found)} files {TABLE}. Give the folder of fastMRI+ that has one."
        )
    return read_annotations(source.read(found[0], TABLE), TABLE)


def _of_whole_image(scans: Scans, role: Role) -> Item:
    return scans.item(role, "test", pathology=_GLOBAL_NAMES[role.role])


def _global(healthy: Healthy, items: Sequence[Item]) -> Plan:
    notes = (
        (
            "Test: 30 healthy, 27 global pathology, 23 global artefacts (RA, MIDL 2023, App. C.2); annotated by image. "
            "Files that are in the local set too show the same slice there."
        ),
        *healthy.notes,
    )
    return Plan(_card(GLOBAL, notes), items, RECIPE, healthy.left_out, healthy.steps)


def _local(
    healthy: Healthy, shared: Sequence[Item], listed: Sequence[Role], scans: Scans, annotations: Annotations
) -> Plan:
    left_out = Counter(healthy.left_out)
    items = list(shared)
    for role in listed:
        boxes = [] if role.slice is None else annotations.on(role.file, role.slice)
        if role.slice is None:
            left_out["local file whose slice is not known"] += 1
        elif not any(box.label in CLASSES for box in boxes):
            left_out["local file with no box of the 13 classes on its slice"] += 1
        else:
            items.append(boxed(scans.item(role, "test"), boxes))
    table = {
        "step": "boxes", "table": TABLE, "sha256": annotations.sha256, "boxes_without_area": annotations.empty,
        "classes": sorted(set(CLASSES.values())),
    }  # fmt: skip
    notes = (
        (
            "Boxes of RA's 13 local classes (MIDL 2023, App. C.3); other boxes of the slice are neither searched for "
            f"nor healthy tissue. An image whose boxes have more than one class is {SEVERAL!r}; results per class are "
            "those of all images with such a box."
        ),
        *healthy.notes,
    )
    return Plan(_card(LOCALLY, notes), items, RECIPE, left_out, (*healthy.steps, table))


def boxed(item: Item, boxes: Sequence[Marked]) -> Item:
    """The item as an anomalous one with the boxes of the 13 classes to be found and the others to be ignored."""
    wanted = [one for one in boxes if one.label in CLASSES]
    classes = tuple(CLASSES[one.label] for one in wanted)
    return replace(
        item,
        label=1,
        pathology=classes[0] if len(set(classes)) == 1 else SEVERAL,
        annotation="box",
        boxes=tuple(one.box for one in wanted),
        box_pathologies=classes,
        ignored=tuple(one.box for one in boxes if one.label not in CLASSES),
    )


def _card(name: str, notes: tuple[str, ...]) -> Card:
    return Card(name, "1", "MR T1", "brain", None, LICENCE, CITATION, notes=notes)
