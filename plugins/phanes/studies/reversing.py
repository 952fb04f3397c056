"""Do pseudo-healthy methods turn what is wrong into what was there? The tables of RA and PHANES on synthetic anomalies.

Source: Bercea et al., MIDL 2023 (RA), Table 1; Bercea et al., MICCAI 2023 (PHANES), Table 1; the printed numbers are
read from `uadbench.references`. `PHANES GT` is PHANES with the true masks: no other code gives a mask to a detector.

Usage: python plugins/phanes/studies/reversing.py README.md --seeds 0,1,2 [--device cpu]
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from painting import painted
from panorama import panorama

from uadbench.board.studies import DASH, Point, machine, over_seeds, piped
from uadbench.errors import UadbenchError
from uadbench.evidence import MapReader
from uadbench.files.images import Dataset
from uadbench.files.layout import write_bytes_atomically
from uadbench.files.marked import replace_between, require_markers
from uadbench.files.predictions import open_predictions
from uadbench.files.results import OVERALL, Result
from uadbench.files.truth import TruthFile, open_truth
from uadbench.home import data_folder, runs_folder
from uadbench.references import references
from uadbench.runs.local import Outcome, ResultSet, finished
from uadbench.runs.plan import Wish, plan
from uadbench.runs.store import Store
from uadbench.scoring import rules_for, score
from uadbench.torch_support.perceptual import PerceptualDistance
from uadbench.torch_support.perceptual_quality import distances

MARKERS = "<!-- reversing: written by `make reversing` -->", "<!-- end of reversing -->"
DATASET, PICTURE = "synthetic-ra-phantom-v1", "reversing.png"
DISTANCE = "lite0"
PAINTER, UPPER_BOUND = "phanes", "PHANES GT"
# Our methods under the names that both papers have for them.
METHODS = {"AE-S": "ae-spatial", "VAE": "vae", "DAE": "dae", "SI-VAE": "si-vae", "RA": "ra", "PHANES": PAINTER}
REGIONS = ("inside", "outside")
SUITES = {
    "ra-ellipses-n8-12": "ellipses N(8, 12)",
    "ra-ellipses-u8-12": "ellipses U(8, 12)",
    "ra-copy-paste": "copy-paste",
}
OF_SUITES = {"recon_mse_inside": "MSE", f"{DISTANCE}_inside": DISTANCE, "pixel_ap": "AP"}
OF_ALL = {
    **{f"recon_ssim_{place}": f"SSIM {place}" for place in REGIONS},
    **{f"{DISTANCE}_{place}": f"{DISTANCE} {place}" for place in REGIONS},
    "pixel_ap": "pixel AP",
    "oracle_dice": "oracle Dice",
}
# What the papers print: their datasets, each with the headings of its columns.
PHANES_PRINTED = ("pha-fastmri-synthetic", {
    "Anomaly LPIPS": "LPIPS inside", "Healthy LPIPS": "LPIPS outside", "pixel_ap": "AP", "oracle_dice": "Dice",
})  # fmt: skip
RA_PRINTED = {
    f"ra-fastmri-synthetic/{kind}": {"recon_mse_inside": f"MSE {kind}", "LPIPS inside mask": f"LPIPS {kind}",
                                     "pixel_ap": f"AP {kind}"}
    for kind in ("intensity", "texture")
}  # fmt: skip

Values = Mapping[tuple[str, str], float]  # by metric and stratum


@dataclass(frozen=True, slots=True)
class Scene:
    """The dataset with its truth."""

    images: Dataset
    truth: TruthFile


def values_of(result: Result, predictions: Path, scene: Scene, distance: PerceptualDistance) -> Values:
    """The tables' metrics of one seed, over all anomalous images and for each suite."""
    wanted = {name for name in (*OF_ALL, *OF_SUITES) if not name.startswith(DISTANCE)}
    scored = {(one.metric, one.stratum): one.value for one in result.values if one.metric in wanted}
    test = MapReader(scene.images["test"], open_predictions(predictions)["test"], "all")
    known = scene.truth["test"]
    strata = {OVERALL: known.labels, **{suite: np.array(known.pathologies) == suite for suite in SUITES}}
    apart = distances(known, test, distance)
    seen = {
        (f"{DISTANCE}_{place}", name): float(np.mean(apart[f"recon_lpips_{place}"][rows]))
        for place in REGIONS
        for name, rows in strata.items()
    }
    return {key: value for key, value in {**scored, **seen}.items() if value is not None}


def measured(runs: ResultSet, scene: Scene, device: str) -> Mapping[str, list[Values]]:
    """The values of every method, and of PHANES with the true masks, one per seed."""
    distance, found = PerceptualDistance(DISTANCE, "cpu"), {}
    pairs = {
        title: [(one.result, one.run.predictions) for one in of(method, runs)] for title, method in METHODS.items()
    }
    bounds = [painted(one.run, scene.images, scene.truth, device) for one in of(PAINTER, runs)]
    rules = rules_for(scene.truth)
    pairs[UPPER_BOUND] = [(score(rules, scene.images, scene.truth, path), path) for path in bounds]
    for title, some in pairs.items():
        found[title] = [values_of(result, path, scene, distance) for result, path in some if result]
    return found


def of(method: str, runs: ResultSet) -> list[Outcome]:
    """The outcomes of one method, by seed."""
    return sorted((one for one in runs.outcomes if one.spec.method == method), key=lambda one: one.spec.seed)


def point(values: Sequence[Values], metric: str, stratum: str = OVERALL) -> str:
    """Mean and deviation over seeds as text."""
    known = [one[metric, stratum] for one in values if (metric, stratum) in one]
    return str(over_seeds(known)) if known else DASH


def printed(dataset: str, method: str, metric: str) -> str:
    """What a paper prints of a method, in our unit; a dash where it prints nothing."""
    rows = [one for one in references(dataset) if (one.method, one.metric) == (method, metric)]
    return str(Point(rows[0].value, rows[0].spread)) if rows else DASH


def reversal(found: Mapping[str, Sequence[Values]]) -> str:
    """One row per method: all suites together, then PHANES Table 1."""
    dataset, columns = PHANES_PRINTED
    rows = [
        [title, *(point(values, metric) for metric in OF_ALL), *(printed(dataset, title, metric) for metric in columns)]
        for title, values in found.items()
    ]
    return piped(rows, ["method", *OF_ALL.values(), *(f"{name} (PHANES)" for name in columns.values())])


def by_suite(found: Mapping[str, Sequence[Values]]) -> str:
    """One row per method: each suite, as RA Table 1 does for its two."""
    heads = [f"{name} {title}" for title in SUITES.values() for name in OF_SUITES.values()]
    rows = [
        [title, *(point(values, metric, suite) for suite in SUITES for metric in OF_SUITES)]
        for title, values in found.items()
    ]
    return piped(rows, ["method", *heads])


def of_ra() -> str:
    """What RA Table 1 prints."""
    cells = [(dataset, metric) for dataset, columns in RA_PRINTED.items() for metric in columns]
    heads = [name for columns in RA_PRINTED.values() for name in columns.values()]
    rows = [[title, *(printed(dataset, title, metric) for dataset, metric in cells)] for title in METHODS]
    return piped([row for row in rows if set(row[1:]) != {DASH}], ["method (RA)", *heads])


def head(runs: ResultSet) -> str:
    """When, with what, and what the numbers are."""
    day = max(one.run.record.finished for one in runs.outcomes)[:10]
    seeds = ", ".join(map(str, sorted({one.seed for one in runs.results})))
    return (
        f"Measured by `make reversing`, last run on {day}, {machine(runs.results[0])}: `{DATASET}`, preset `quick`, "
        f"mean ± sample standard deviation over seeds {seeds}. Reconstructions are compared with the image before it "
        f"was spoiled; `{DISTANCE}` is a perceptual distance on EfficientNet-Lite0 and no LPIPS. `{UPPER_BOUND}` paints"
        " under the true masks; its map is |x - x_ph|. Columns of the papers hold their Table 1 as fractions: other "
        "data, longer training, LPIPS; what ± is in RA's it does not say."
    )


def main(readme: Path, seeds: tuple[int, ...], device: str) -> None:
    """Write the picture beside the README, then the tables into it; nothing where a run is missing.

    Raises:
        InvalidDataError: A run, the dataset or a marker is missing.
    """
    require_markers(readme, MARKERS)
    store = Store(runs_folder())
    planned = plan(Wish(tuple(METHODS.values()), DATASET, "quick", seeds, {}, device), store, data_folder())
    runs = finished(planned, store)
    scene = Scene(planned.dataset, open_truth(planned.paths.truth))
    found = measured(runs, scene, device)
    shown = [of(method, runs)[0].run for method in METHODS.values()]
    write_bytes_atomically(readme.with_name(PICTURE), panorama(shown, scene.images, scene.truth, SUITES))
    columns = ", ".join(["the image before", "after", *METHODS])
    picture = f"![Synthetic anomalies and what each method makes of them]({PICTURE})\n\nLeft to right: {columns}."
    replace_between(readme, MARKERS, "\n\n".join([head(runs), reversal(found), by_suite(found), of_ra(), picture]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the study of reversed anomalies into a README.")
    parser.add_argument("readme", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    try:
        main(given.readme, tuple(int(one) for one in given.seeds.split(",")), given.device)
    except UadbenchError as error:
        sys.exit(str(error))
