"""How many numbers should describe an image? AE[d] with latents of 1 to 128 numbers, beside what its paper prints.

Source: Cai et al., MICCAI 2024 ("Rethinking autoencoders"), Table 1; the printed numbers are read from
`uadbench.references`.

Usage: python plugins/autoencoders/studies/latents.py README.md --latents "1 2 4" --seeds 0,1,2 [--device cpu]
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from drawing import Line, Panel, figure

from uadbench.board.studies import DASH, Point, machine, over_seeds, piped
from uadbench.errors import UadbenchError
from uadbench.files.layout import write_text_atomically
from uadbench.files.marked import replace_between, require_markers
from uadbench.files.results import Result
from uadbench.home import data_folder, runs_folder
from uadbench.references import references
from uadbench.runs.local import finished
from uadbench.runs.plan import Wish, plan
from uadbench.runs.store import Store

MARKERS = "<!-- latents: written by `make latents` -->", "<!-- end of latents -->"
METHOD, METRIC, PRINTED = "ae-latent", "image_auroc", "AE4 Table 1"
PICTURE = "latents.svg"
# Each dataset of ours beside the two of the paper that show the same part of the body.
PAPER = {
    "brain-mri-br35h-v1": {"ae4-brain-tumor": "Brain Tumor", "ae4-brats2021": "BraTS"},
    "chest-xray-nih-v1": {"ae4-rsna": "RSNA", "ae4-vindr": "VinDr"},
}
Curve = Mapping[int, Point]  # by latent


def point(results: Sequence[Result]) -> Point:
    """Image AUROC over the seeds of one latent, in [0, 1], with the sample standard deviation."""
    return over_seeds([value for one in results if (value := one.get(METRIC).value) is not None])


def measured(dataset: str, latents: Sequence[int], seeds: tuple[int, ...], device: str) -> Mapping[int, list[Result]]:
    """The results of every latent on a dataset.

    Raises:
        InvalidDataError: A run is missing; names it and the command that makes it.
    """
    store, found = Store(runs_folder()), {}
    for latent in latents:
        wish = Wish((METHOD,), dataset, "quick", seeds, {METHOD: {"latent": latent}}, device)
        found[latent] = list(finished(plan(wish, store, data_folder()), store).results)
    return found


def printed(dataset: str) -> Curve:
    """What the paper prints of a dataset."""
    rows = [one for one in references(dataset) if (one.source, one.metric) == (PRINTED, METRIC)]
    curve = {int(one.method.removeprefix("AE, d=")): Point(one.value, one.spread) for one in rows}
    return dict(sorted(curve.items()))


def table(curves: Mapping[str, Curve]) -> str:
    """One row per latent: our datasets, then the paper's."""
    paper = {f"{title} (paper)": printed(name) for some in PAPER.values() for name, title in some.items()}
    columns = {**curves, **paper}
    latents = sorted({latent for curve in curves.values() for latent in curve})
    rows = [[str(latent), *(str(curve.get(latent, DASH)) for curve in columns.values())] for latent in latents]
    return piped(rows, ["latent", *columns])


def head(results: Sequence[Result], last: str) -> str:
    """When, with what, and what the numbers are."""
    seeds = ", ".join(map(str, sorted({one.seed for one in results})))
    return (
        f"Measured by `make latents`, last run on {last}, {machine(results[0])}: image AUROC of `{METHOD}`, preset "
        f"`quick`, mean ± sample standard deviation over seeds {seeds}. The columns of the paper are its Table 1: "
        "other data, other splits, longer training."
    )


def panels(curves: Mapping[str, Curve]) -> list[Panel]:
    """One panel per dataset of ours, the paper's lines first, so that ours lie above them."""
    return [
        Panel(dataset, (*(line(printed(name), title) for name, title in PAPER[dataset].items()),
                        line(curve, "measured", ours=True)))
        for dataset, curve in curves.items()
    ]  # fmt: skip


def line(curve: Curve, title: str, *, ours: bool = False) -> Line:
    """A curve to draw; only ours shows its spread."""
    points = [(latent, one.mean, one.spread if ours and one.spread else 0.0) for latent, one in curve.items()]
    return Line(title, tuple(points), ours)


def block(found: Mapping[str, Mapping[int, Sequence[Result]]], last: str) -> tuple[str, str]:
    """The text between the markers, and the figure."""
    curves = {name: {latent: point(some) for latent, some in by.items()} for name, by in found.items()}
    every = [one for by in found.values() for some in by.values() for one in some]
    picture = f"![Image AUROC against the latent dimension, measured and printed]({PICTURE})"
    return f"{head(every, last)}\n\n{table(curves)}\n\n{picture}", figure(panels(curves), "Image AUROC")


def last_day(datasets: Sequence[str]) -> str:
    """The day of the latest finished run of the method with a latent of its own."""
    records = [run.record for name in datasets for run in Store(runs_folder()).done(name)]
    return max(one.finished for one in records if one.spec.method == METHOD and "latent" in one.spec.overrides)[:10]


def main(readme: Path, latents: Sequence[int], seeds: tuple[int, ...], device: str) -> None:
    """Write the figure beside the README, then the table into it; nothing where a run is missing.

    Raises:
        InvalidDataError: A run, a dataset or a marker is missing.
    """
    require_markers(readme, MARKERS)
    text, picture = block({name: measured(name, latents, seeds, device) for name in PAPER}, last_day(list(PAPER)))
    write_text_atomically(readme.with_name(PICTURE), picture)
    replace_between(readme, MARKERS, text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the study of latents into a README.")
    parser.add_argument("readme", type=Path)
    parser.add_argument("--latents", default="1 2 4 8 16 32 64 128")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    try:
        main(given.readme, [int(one) for one in given.latents.split()],
             tuple(int(one) for one in given.seeds.split(",")), given.device)  # fmt: skip
    except UadbenchError as error:
        sys.exit(str(error))
