"""The study of latents: table and figure from made-up results, and what it says of missing runs."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from uadbench import metrics
from uadbench.errors import InvalidDataError
from uadbench.files.dataset import Sample, write_dataset
from uadbench.files.images import Card
from uadbench.files.results import DatasetDigests, ProtocolDigest, Result, Value
from uadbench.files.truth import open_truth
from uadbench.runs.plan import Wish, plan
from uadbench.runs.store import RunRecord, Store
from uadbench.scoring import rules_for

STUDIES = Path(__file__).parents[1] / "studies"
LATENTS, SEEDS = (1, 4), (0, 1)


@pytest.fixture
def latents(monkeypatch):
    monkeypatch.syspath_prepend(STUDIES)
    for name in ("latents", "drawing"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import latents

    return latents


@pytest.fixture
def home(tmp_path, monkeypatch, latents):
    """A workspace with the two datasets, tiny, and a README with markers."""
    monkeypatch.setenv("UADBENCH_HOME", str(tmp_path))
    for name in latents.PAPER:
        card = Card(name, "1", "T1", "brain", 1.5, "CC0", "Nobody, Journal of Nothing 2024", notes=())
        samples = {split: [sample(f"{split}-{i}") for i in range(2)] for split in ("train", "val", "test")}
        samples["test"].append(sample("sick", label=1))
        write_dataset(tmp_path / "data", card, samples)
    (tmp_path / "README.md").write_text("before\n" + "\n".join(latents.MARKERS) + "\nafter\n")
    return tmp_path


def sample(name, **changes):
    pixels, foreground = np.full((1, 16, 16), 90, np.uint8), np.ones((16, 16), bool)
    sick = {"pathology": "tumour", "annotation": "image"} if changes else {}
    return Sample(pixels, foreground, name, name, **changes, **sick)


def carry_out(home, latents, left_out=()):
    """Done runs of every latent and seed: AUROC = (60 + latent + seed) / 100."""
    store = Store(home / "runs")
    for dataset in latents.PAPER:
        for latent in set(LATENTS) - set(left_out):
            wish = Wish(("ae-latent",), dataset, "quick", SEEDS, {"ae-latent": {"latent": latent}})
            planned = plan(wish, store, home / "data")
            for spec in planned.todo:
                pretend(store.run(spec), spec, rules_for(open_truth(planned.paths.truth)))


def pretend(run, spec, rules):
    run.begin(RunRecord(schema="uadbench-run-v1", spec=spec, status="done", started="", finished="2030-01-02T03:04:05"))
    run.predictions.touch()
    run.write_result(result((60 + spec.params["latent"] + spec.seed) / 100, spec, rules))


def result(auroc, spec, rules):
    return Result(
        schema="uadbench-result-v1", seal="0" * 64, metric_version=metrics.VERSION,
        protocol=ProtocolDigest(name=rules.name, digest=rules.digest, primary=rules.primary),
        dataset=DatasetDigests(name=spec.dataset, version="1", identity=spec.identity, pixels=spec.pixels),
        provenance={"method": spec.method, "seed": spec.seed, "hardware": {"machine": "m", "cores": 3}},
        values=(Value(metric="image_auroc", value=auroc),),
    )  # fmt: skip


def test_the_table_holds_mean_and_spread_over_seeds_beside_what_the_paper_prints(home, latents):
    carry_out(home, latents)
    latents.main(home / "README.md", LATENTS, SEEDS, "cpu")
    rows = [line for line in (home / "README.md").read_text().splitlines() if line.startswith("|")]
    paper = [str(latents.printed(name)[4]) for some in latents.PAPER.values() for name in some]
    cells = [cell.strip() for cell in rows[-1].strip("|").split("|")]
    assert cells == ["4", "0.645 ± 0.007", "0.645 ± 0.007", *paper]


def test_the_paper_prints_eight_latents_on_each_of_its_datasets(latents):
    names = [name for some in latents.PAPER.values() for name in some]
    assert {tuple(latents.printed(name)) for name in names} == {(1, 2, 4, 8, 16, 32, 64, 128)}


def test_runs_of_two_latents_have_two_folders_and_say_which_is_which(home, latents):
    carry_out(home, latents)
    runs = list(Store(home / "runs").runs("chest-xray-nih-v1"))
    assert sorted(run.record.spec.settings for run in runs) == ["latent=1", "latent=1", "latent=4", "latent=4"]
    assert len({run.id for run in runs}) == 4


def test_the_figure_is_xml_with_every_line_named_and_the_same_bytes_again(home, latents):
    carry_out(home, latents)
    pictures = []
    for _ in range(2):
        latents.main(home / "README.md", LATENTS, SEEDS, "cpu")
        pictures.append((home / "latents.svg").read_bytes())
    texts = [node.text for node in ElementTree.fromstring(pictures[0]).iter() if node.tag.endswith("text")]
    assert {"measured", "RSNA (paper)", "VinDr (paper)", "Brain Tumor (paper)", "BraTS (paper)"} <= set(texts)
    assert pictures[0] == pictures[1]


def test_a_missing_run_is_named_with_its_command_and_nothing_is_written(home, latents):
    carry_out(home, latents, left_out=[4])
    before = (home / "README.md").read_text()
    with pytest.raises(InvalidDataError, match=r"ae-latent seed 0 \(latent=4\).* --set ae-latent.latent=4"):
        latents.main(home / "README.md", LATENTS, SEEDS, "cpu")
    assert (home / "README.md").read_text() == before
    assert not (home / "latents.svg").exists()


def test_what_stands_outside_the_markers_stays(home, latents):
    carry_out(home, latents)
    latents.main(home / "README.md", LATENTS, SEEDS, "cpu")
    text = (home / "README.md").read_text()
    assert (text.startswith("before\n<!-- latents"), text.endswith("-->\nafter\n")) == (True, True)


def test_one_seed_has_no_spread(latents):
    assert str(latents.over_seeds([0.5])) == "0.500"
