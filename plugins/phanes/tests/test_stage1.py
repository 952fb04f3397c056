"""Stage 1: fetched by name, refused in sentences, fitted in a folder of its own, saved and loaded with what it is."""

import json
from dataclasses import replace

import numpy as np
import pytest
from uadbench_phanes._stage1 import FirstStage, reconstructed
from uadbench_phanes.phanes import Phanes

from uadbench import FitContext, Progress, plugins
from uadbench.errors import ContractError, InvalidDataError, ParameterError, UnknownNameError, UsageError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("stand_in", "one_torch_thread")

IMAGES = blobs(6, 40, 36, seed=1)
MEAN = FirstStage("stand-in-mean", "quick", "")


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


def fitted(first: FirstStage, context: FitContext):
    return first.fit(MemorySource(IMAGES), MemorySource(IMAGES), context)


@pytest.mark.parametrize(("name", "why"), [("no-such", "is not installed"), ("stand-in-blind", "returns no recon")])
def test_a_method_that_does_not_reconstruct_is_refused_with_a_list_of_those_that_do(name, why):
    with pytest.raises(ParameterError, match=f"phanes: stage1 is '{name}', which {why}") as caught:
        plugins.make("phanes", stage1=name)
    listed = str(caught.value).rpartition(": ")[2].rstrip(".").split(", ")
    specs = {name: one.spec for name, one in plugins.registry().methods().items()}
    assert set(listed) == {name for name, spec in specs.items() if spec.reconstructs} - {"phanes"}
    assert "stand-in-mean" in listed


def test_the_method_is_not_its_own_stage_1():
    with pytest.raises(ParameterError, match="'phanes', which is this method itself"):
        Phanes(stage1="phanes")


@pytest.mark.parametrize(
    ("change", "kind", "sentence"),
    [
        ({"stage1_preset": "huge"}, UnknownNameError, "No preset of ra is called 'huge'"),
        ({"stage1_set": "epoch=3"}, ParameterError, "No parameter of ra is called 'epoch'. Did you mean 'epochs'"),
        ({"stage1_set": "epochs=many"}, ParameterError, "ra.epochs is 'many'"),
        ({"stage1_set": "epochs"}, UsageError, "'ra.epochs' is not name.param=value"),
    ],
    ids=str,
)
def test_a_preset_or_setting_that_stage_1_does_not_have_is_refused(change, kind, sentence):
    with pytest.raises(kind, match=sentence):
        Phanes(**change)


def test_settings_are_laid_over_the_preset():
    method = FirstStage("ra", "quick", "epochs=3 lr=1e-3 hist_eq=False").made()
    assert method == plugins.make("ra", preset="quick", epochs=3, lr=1e-3, hist_eq=False)


def test_it_is_fitted_in_a_work_folder_that_an_interrupted_run_keeps(context):
    fitted(MEAN, context)
    assert [str(path.relative_to(context.workdir)) for path in context.workdir.rglob("*.txt")] == [
        "stage1.checkpoint/fitted.txt"
    ]


def test_its_progress_says_that_it_is_stage_1(tmp_path):
    heard: list[Progress] = []
    first = FirstStage("ra", "quick", "size=32 width=4 latent=4 epochs=1 batch=4 perceptual=False")
    fitted(first, FitContext(0, "cpu", "float32", tmp_path, heard.append))
    assert heard[0].message.startswith("stage 1, ra: loss")


def test_images_too_small_for_it_are_refused(context):
    with pytest.raises(InvalidDataError, match=r"stage 1, stand-in-large, needs images of at least 1000 .* 40 x 36"):
        fitted(FirstStage("stand-in-large", "quick", ""), context)


def test_a_stage_1_that_breaks_its_word_is_refused(context):
    detector = fitted(FirstStage("stand-in-silent", "quick", ""), context)
    with pytest.raises(ContractError, match="stand-in-silent, returned no reconstructions"):
        reconstructed(detector, IMAGES, "stand-in-silent")


def test_it_is_saved_with_name_preset_parameters_and_origin(context, tmp_path):
    first = replace(MEAN, settings="gain=0.5")
    detector = fitted(first, context)
    first.save(detector, tmp_path / "kept")
    record = json.loads((tmp_path / "kept" / "stage1.json").read_text())
    assert (record["name"], record["preset"], record["params"]) == ("stand-in-mean", "quick", {"gain": 0.5})
    assert (record["distribution"], record["version"]) == ("stand-in", "1.0")
    again = reconstructed(first.load(tmp_path / "kept", "cpu"), IMAGES, first.name)
    assert np.array_equal(again, reconstructed(detector, IMAGES, first.name))
    assert again[0] == pytest.approx(0.5 * IMAGES.pixels.mean(0))


def test_the_folder_of_another_stage_1_is_refused(context, tmp_path):
    MEAN.save(fitted(MEAN, context), tmp_path / "kept")
    with pytest.raises(InvalidDataError, match="holds a fitted stand-in-mean, not ra"):
        FirstStage("ra", "quick", "").load(tmp_path / "kept", "cpu")
    (tmp_path / "kept" / "stage1.json").write_text("{")
    with pytest.raises(InvalidDataError, match="holds no record of stage 1"):
        MEAN.load(tmp_path / "kept", "cpu")
