"""The study of reversed anomalies: tables and picture from tiny runs, and what it says of missing ones."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from uadbench_phanes.phanes import Phanes

from uadbench import FitContext, Prediction
from uadbench.errors import InvalidDataError
from uadbench.files.dataset import Sample, write_dataset
from uadbench.files.images import Card
from uadbench.files.predictions import PredictionWriter, open_predictions
from uadbench.files.truth import open_truth
from uadbench.runs.plan import Wish, plan
from uadbench.runs.store import RunRecord, Store
from uadbench.scoring import rules_for, score

pytestmark = pytest.mark.usefixtures("stand_in", "one_torch_thread")

STUDIES = Path(__file__).parents[1] / "studies"
SEEDS, SIDE = (0, 1), 40


@pytest.fixture(scope="module")
def reversing():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(STUDIES)
        for name in ("reversing", "painting", "panorama"):
            patch.delitem(sys.modules, name, raising=False)
        import reversing

        patch.setattr(reversing, "DATASET", "toy-v1")
        yield reversing


@pytest.fixture(scope="module")
def home(tmp_path_factory, reversing, stand_in):
    """A workspace with a tiny dataset of all suites, done runs, and a README that the study has written into."""
    folder = tmp_path_factory.mktemp("home")
    card = Card("toy-v1", "1", "T1", "brain", 1.5, "CC0", "Nobody, Journal of Nothing 2024", notes=())
    samples = {split: [healthy(f"{split}-{row}", row) for row in range(4)] for split in ("train", "val", "test")}
    samples["test"] += [spoiled(suite, row) for suite in reversing.SUITES for row in range(2)]
    write_dataset(folder / "data", card, samples)
    (folder / "README.md").write_text("before\n" + "\n".join(reversing.MARKERS) + "\nafter\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UADBENCH_HOME", str(folder))
        carry_out(folder, reversing)
        reversing.main(folder / "README.md", SEEDS, "cpu")
        yield folder


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(80, 120, (1, SIDE, SIDE), np.uint8)


def healthy(name: str, row: int) -> Sample:
    return Sample(pixels(row), np.ones((SIDE, SIDE), bool), name, name)


def spoiled(suite: str, row: int) -> Sample:
    mask, clean = np.zeros((SIDE, SIDE), bool), pixels(50 + row)
    mask[10:18, 10 : 20 + row] = True
    spot = np.where(mask, 250, clean).astype(np.uint8)
    name = f"{suite}-{row}"
    return Sample(spot, np.ones((SIDE, SIDE), bool), name, name, 1, suite, "mask", mask, clean=clean)


def carry_out(home, reversing):
    """Done runs of every method and seed: each but PHANES, which is fitted, darkens the image by a step of its own."""
    store, methods = Store(home / "runs"), list(reversing.METHODS.values())
    planned = plan(Wish(tuple(methods), "toy-v1", "quick", SEEDS), store, home / "data")
    truth = open_truth(planned.paths.truth)
    for spec in planned.todo:
        run = store.run(spec)
        run.begin(RunRecord(schema="uadbench-run-v1", spec=spec, status="done", started="", finished="2030-01-02T03"))
        images, predict = planned.dataset, darkened(0.1 + methods.index(spec.method) / 100 + spec.seed / 1000)
        if spec.method == reversing.PAINTER:
            (run.folder / "work").mkdir(exist_ok=True)
            context = FitContext(spec.seed, "cpu", "float32", run.folder / "work")
            detector = painter().fit(images["train"], images["val"], context)
            detector.save(run.detector)
            predict = detector.predict
        about = {"name": "toy-v1", "identity": spec.identity}
        with PredictionWriter(run.predictions, {"method": spec.method, "seed": spec.seed, "dataset": about}) as writer:
            for split in ("val", "test"):
                found = images[split][0 : len(images[split])]
                writer.append(split, found.ids, predict(found))
        run.write_result(score(rules_for(truth), images, truth, run.predictions))


def painter() -> Phanes:
    return Phanes("stand-in-mean", "quick", width=4, blocks=1, size=40, epochs=1, batch=2, distance="lite0",
                  features="lite0", weights="random", style=1.0)  # fmt: skip


def darkened(step: float):
    def predict(images):
        seen = images.pixels - np.float32(step)
        return Prediction(images.pixels[:, 0], images.pixels.mean(axis=(1, 2, 3), dtype=np.float64), seen)

    return predict


def tables(home) -> list[dict[str, list[str]]]:
    """Cells by first cell, of each table in the README."""
    blocks = [block.splitlines() for block in (home / "README.md").read_text().split("\n\n") if block.startswith("|")]
    lines = [[[cell.strip() for cell in line.strip("|").split("|")] for line in block] for block in blocks]
    return [{cells[0]: cells[1:] for cells in block} for block in lines]


def test_the_tables_hold_all_methods_the_upper_bound_and_what_the_papers_print(home, reversing):
    whole, suites, paper = tables(home)
    assert list(whole)[2:] == [*reversing.METHODS, reversing.UPPER_BOUND] == list(suites)[2:]
    assert list(paper)[2:] == ["AE-S", "VAE", "DAE", "SI-VAE", "RA"]
    assert whole["RA"][-4:] == ["0.153", "0.097", "0.730", "0.685"]  # PHANES Table 1, divided by 100
    assert whole["AE-S"][-4:] == ["–"] * 4
    assert paper["RA"] == ["0.031 ± 0.025", "0.177 ± 0.076", "0.737", "0.048 ± 0.054", "0.185 ± 0.058", "0.574"]


def test_a_cell_is_the_mean_and_deviation_over_seeds(home):
    runs = [run for run in Store(home / "runs").done("toy-v1") if run.record.spec.method == "vae"]
    scores = [score(rules_for(open_truth(home / "data/toy-v1.truth.h5")), home / "data/toy-v1.images.h5",
                    home / "data/toy-v1.truth.h5", run.predictions) for run in runs]  # fmt: skip
    values = [one.get("recon_mse_inside", "ra-copy-paste").value for one in scores]
    place = tables(home)[1]["method"].index("MSE copy-paste")
    assert tables(home)[1]["VAE"][place] == f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


def test_with_the_true_masks_nothing_else_changes_and_everything_in_them_does(home, reversing):
    specs = {(run.record.spec.method, run.record.spec.seed): run for run in Store(home / "runs").done("toy-v1")}
    bound = specs[reversing.PAINTER, 0].folder / "work" / "phanes-gt.h5"
    found, truth = open_predictions(bound), open_truth(home / "data/toy-v1.truth.h5")["test"]
    assert not found["val"].maps(slice(None)).any()
    assert np.array_equal(found["test"].maps(slice(None)) > 0, truth.masks)
    heads = tables(home)[0]["method"]
    assert tables(home)[0][reversing.UPPER_BOUND][heads.index("pixel AP")] == "1.000 ± 0.000"


def test_the_picture_has_a_row_per_suite_and_a_column_per_method_and_two(home, reversing):
    with Image.open(home / "reversing.png") as picture:
        assert picture.size == ((SIDE + 2) * (2 + len(reversing.METHODS)), (SIDE + 2) * len(reversing.SUITES))


def test_a_missing_run_is_named_with_its_command_and_nothing_is_written(home, reversing):
    before = (home / "README.md").read_text()
    with pytest.raises(InvalidDataError, match=r"ae-spatial seed 7.*uadbench run"):
        reversing.main(home / "README.md", (0, 7), "cpu")
    assert (home / "README.md").read_text() == before
