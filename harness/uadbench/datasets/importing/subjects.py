"""Subjects where a source has none: the group of near-duplicates is the subject."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from uadbench.auditing.describing import Descriptors, descriptors, gathered
from uadbench.auditing.matching import duplicate_groups
from uadbench.datasets.importing.carrying import Report
from uadbench.datasets.importing.chosen import Chosen
from uadbench.datasets.importing.items import Item
from uadbench.datasets.importing.shards import Shards


def with_subjects(items: Sequence[Item], shards: Shards, report: Report) -> list[Item]:
    """The items with a subject each; those without one get the name of the first of their group of near-duplicates."""
    unknown = [row for row, item in enumerate(items) if not item.subject]
    if not unknown:
        return list(items)
    chosen = Chosen(shards, [items[row] for row in unknown], unknown)
    groups = duplicate_groups(gathered(len(unknown), _described(chosen, report)))
    found, first = list(items), dict[int, str]()
    for row, group in zip(unknown, groups, strict=True):
        name = first.setdefault(int(group), items[row].name)
        found[row] = replace(items[row], subject=name)
    return found


def _described(chosen: Chosen, report: Report) -> Iterator[Descriptors]:
    done = 0
    for pixels, _ in chosen.scan():
        done += len(pixels)
        report("comparing", done, len(chosen.rows))
        yield descriptors(pixels)
