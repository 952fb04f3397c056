"""LPIPS of reconstructions, with a randomly initialised backbone in place of ImageNet's."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import factories
import numpy as np
import pytest

from uadbench.errors import InvalidDataError, MissingLibraryError, MissingWeightsError
from uadbench.files.dataset import write_dataset
from uadbench.files.images import open_images
from uadbench.files.predictions import PredictionWriter, open_predictions
from uadbench.files.truth import open_truth
from uadbench.torch_support import perceptual_quality as quality_module
from uadbench.torch_support.perceptual_quality import NAMES, SMALLEST_SIDE, distance_map, perceptual_quality
from uadbench.torch_support.weights_manifest import shipped
from uadbench.types import Prediction

lpips = pytest.importorskip("lpips", reason="lpips is not installed: pip install 'uadbench[perceptual]'")
torch = pytest.importorskip("torch")
models = pytest.importorskip("torchvision.models")
from uadbench.torch_support.perceptual import RECIPES, PerceptualDistance  # noqa: E402

PUBLISHED = shipped()["alexnet"]
EACH, SIZE, NAME = 6, 40, "toy-perceptual-v1"


@pytest.fixture(scope="module")
def alexnet():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.alexnet(weights=None)


@pytest.fixture
def weights(alexnet, tmp_path, monkeypatch):
    """A weights folder with that backbone, as a user's own weights."""
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "weights").mkdir()
    convolutions = {name: tensor for name, tensor in alexnet.state_dict().items() if name.startswith("features.")}
    torch.save(convolutions, tmp_path / "weights" / "alexnet.pth")
    return tmp_path / "weights" / "alexnet.pth"


@pytest.fixture
def files(tmp_path):
    """A dataset whose anomalous images have clean twins; and predictions that reconstruct all images a bit darker."""
    splits = {split: [one(f"{split}-{i}", i) for i in range(EACH)] for split in ("train", "val", "test")}
    splits["test"] += [replace(one(f"sick-{i}", i, sick=True), clean=one("twin", i).pixels) for i in range(EACH)]
    paths = write_dataset(tmp_path / "data", factories.card(NAME), splits)
    return open_images(paths.images), open_truth(paths.truth)


def one(name, place, *, sick=False):
    return factories.sample(name, place, sick=sick, size=SIZE)


def predictions(path, images, reconstruct, rows=slice(None)):
    """A sealed file; `reconstruct` makes reconstructions of a batch's pixels, or None."""
    digests, card = images.digests, images.card
    named = {"name": card.name, "identity": digests.identity, "pixels": digests.pixels}
    with PredictionWriter(path, {"method": "darker", "seed": 0, "dataset": named}) as writer:
        for split in ("val", "test"):
            batch = images[split][: len(images[split])][rows]
            maps = batch.pixels.mean(axis=1)
            writer.append(split, batch.ids, Prediction(maps, maps.mean(axis=(1, 2)), reconstruct(batch.pixels)))
    return open_predictions(path)


def pair(channels=1, seed=0):
    return np.random.default_rng(seed).random((2, channels, SIZE, SIZE), np.float32)


def qualities(files, path, reconstruct):
    """The values by metric."""
    quality = perceptual_quality(factories.protocol(dataset=NAME), *files, predictions(path, files[0], reconstruct))
    return {value.metric: value for value in quality.values}


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")
@pytest.mark.parametrize("channels", [1, 3])
def test_the_distance_is_that_of_the_package(channels, weights, alexnet):
    reference = lpips.LPIPS(net="alex", pnet_rand=True, spatial=True, verbose=False)
    for number, layer in enumerate(alexnet.features[:12]):
        for part in reference.net.children():
            if str(number) in dict(part.named_children()):
                setattr(part, str(number), layer)
    first, second = (torch.tensor(one)[None].repeat(1, 3 // channels, 1, 1) for one in pair(channels))
    expected = reference(2 * first - 1, 2 * second - 1)
    found = distance_map(PerceptualDistance("lpips-alex"), *pair(channels))
    assert found == pytest.approx(expected[0, 0].detach().numpy(), abs=1e-6)
    assert found.mean() == pytest.approx(expected.mean().item(), abs=1e-6)


def test_the_smallest_side_is_that_of_the_distance():
    assert RECIPES["lpips-alex"].smallest == SMALLEST_SIDE


def test_missing_weights_name_the_file_and_the_folder(files, tmp_path, monkeypatch):
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path / "here"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(MissingWeightsError, match=r"here/alexnet-owt-7be5be79.pth is not there. Place torchvision's"):
        qualities(files, tmp_path / "same.h5", lambda pixels: pixels)


@pytest.mark.parametrize("content", [b"", b"no weights", None])
def test_a_file_of_other_weights_is_refused(content, files, weights, tmp_path):
    if content is None:
        torch.save({"features.0.weight": torch.zeros(3)}, weights)
    else:
        weights.write_bytes(content)
    with pytest.raises(InvalidDataError, match="does not hold the weights of 'alexnet'"):
        qualities(files, tmp_path / "same.h5", lambda pixels: pixels)


def test_a_damaged_file_of_the_published_weights_is_refused(files, weights, tmp_path):
    weights.rename(weights.with_name(PUBLISHED.file))
    with pytest.raises(
        InvalidDataError, match=r"is damaged, or another file: its SHA-256 begins with .* with 7be5be79"
    ):
        qualities(files, tmp_path / "same.h5", lambda pixels: pixels)


def test_a_missing_torch_is_named_with_the_extra(files, tmp_path, monkeypatch):
    monkeypatch.setattr(quality_module, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"'torch'.*pip install 'uadbench\[torch,perceptual\]'"):
        qualities(files, tmp_path / "same.h5", lambda pixels: pixels)


def test_perfect_reconstructions_of_healthy_images_have_distance_zero(files, weights, tmp_path):
    value = qualities(files, tmp_path / "same.h5", lambda pixels: pixels)["recon_lpips"]
    assert (value.value, value.low, value.high) == (0, 0, 0)
    assert (value.images, value.subjects) == (EACH, EACH)


def test_values_are_means_over_images_of_the_map_in_its_region(files, weights, tmp_path):
    found, truth = qualities(files, tmp_path / "dark.h5", lambda pixels: 0.8 * pixels), files[1]["test"]
    pixels, distance = files[0]["test"][: 2 * EACH].pixels, PerceptualDistance("lpips-alex")
    sick = np.flatnonzero(truth.labels)
    maps = [distance_map(distance, truth.clean[row], np.float32(0.8) * pixels[row]) for row in sick]
    inside = np.mean([around[mask].mean() for around, mask in zip(maps, truth.masks[sick], strict=True)])
    assert found["recon_lpips_inside"].value == pytest.approx(inside, rel=1e-5)
    healthy = [
        distance_map(distance, pixels[row], np.float32(0.8) * pixels[row]).mean()
        for row in np.flatnonzero(~truth.labels)
    ]
    assert found["recon_lpips"].value == pytest.approx(np.mean(healthy), rel=1e-5)
    assert found["recon_lpips"].low <= found["recon_lpips"].value <= found["recon_lpips"].high


def test_an_anomaly_left_in_the_reconstruction_counts_inside_the_mask_most(files, weights, tmp_path):
    found = qualities(files, tmp_path / "same.h5", lambda pixels: pixels)
    assert found["recon_lpips_inside"].value > 1.5 * found["recon_lpips_outside"].value > 0


def test_a_method_without_reconstructions_has_a_reason_in_place_of_a_value(files, tmp_path):
    values = qualities(files, tmp_path / "none.h5", lambda pixels: None).values()
    assert {value.value for value in values} == {None}
    assert all(value.undefined.endswith("the method returns no reconstructions.") for value in values)


def test_images_that_are_not_predicted_are_counted_in_the_reason(files, tmp_path):
    some = predictions(tmp_path / "some.h5", files[0], lambda pixels: pixels, slice(5))
    quality = perceptual_quality(factories.protocol(dataset=NAME), *files, some)
    assert quality.values[0].undefined == "recon_lpips: incomplete: 5 of 12 test images are predicted."


def test_other_weights_than_the_published_ones_are_said(files, weights, tmp_path):
    same = predictions(tmp_path / "same.h5", files[0], lambda pixels: pixels)
    quality = perceptual_quality(factories.protocol(dataset=NAME), *files, same)
    assert "not 7be5be79" in quality.warning
    assert replace(quality, weights=replace(quality.weights, sha256=PUBLISHED.sha256)).warning == ""


def said(*arguments, home, code=0):
    """The output of `uadbench score` in a process of its own."""
    environment = {**os.environ, "UADBENCH_HOME": str(home), "COLUMNS": "200"}
    command = [sys.executable, "-m", "uadbench", "score", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    return done.stdout if code == 0 else done.stderr


def test_the_command_prints_the_table_and_stores_nothing_of_it(files, weights, tmp_path):
    predictions(tmp_path / "dark.h5", files[0], lambda pixels: 0.8 * pixels)
    printed = said(tmp_path / "dark.h5", "--perceptual", "--out", tmp_path / "result.json", home=tmp_path)
    assert all(name in printed for name in ("image_auroc", *NAMES, "LPIPS, not ranked: darker"))
    stored = json.loads((tmp_path / "result.json").read_text())
    assert not [value for value in stored["values"] if "lpips" in value["metric"]]


def test_the_command_without_weights_ends_in_one_sentence(files, tmp_path, monkeypatch):
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path / "nowhere"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    predictions(tmp_path / "same.h5", files[0], lambda pixels: pixels)
    assert PUBLISHED.file in said(tmp_path / "same.h5", "--perceptual", home=tmp_path, code=4)


def test_a_table_beside_json_is_refused(tmp_path):
    assert "Leave out --json" in said("any.h5", "--perceptual", "--json", home=tmp_path, code=2)


def test_importing_the_module_loads_no_torch():
    imported = "import sys, uadbench.torch_support.perceptual_quality"
    code = f"{imported}; sys.exit('torch' in sys.modules or 'lpips' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
