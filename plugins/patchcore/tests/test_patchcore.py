"""PatchCore: its coreset, its distances, and what every detector promises."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from uadbench_patchcore import _memory
from uadbench_patchcore._memory import coreset, nearest, project, reweighted
from uadbench_patchcore._patches import extract
from uadbench_patchcore.patchcore import PatchCore, PatchDetector

from uadbench import FitContext, Images, Prediction, plugins
from uadbench.errors import InvalidDataError, MissingWeightsError, ParameterError, UnknownNameError
from uadbench.testing import MemorySource
from uadbench.torch_support.backbones import Backbone

SMALL = {"size": 64, "coreset": 0.2}


def images(count: int, seed: int, shape: tuple[int, int, int] = (1, 48, 40)) -> Images:
    pixels = np.random.default_rng(seed).random((count, *shape), np.float32)
    names = tuple(f"{seed}-{row}" for row in range(count))
    return Images(pixels, np.ones((count, *shape[1:]), bool), names, names)


def fitted(folder, *, seed: int = 0, train: Images | None = None, **params) -> PatchDetector:
    train = train or images(4, 1)
    context = FitContext(seed, "cpu", "float32", folder)
    return plugins.make("patchcore", **{**SMALL, **params}).fit(
        MemorySource(train), MemorySource(images(2, 2)), context
    )


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> PatchDetector:
    return fitted(tmp_path_factory.mktemp("fit"))


def same_bytes(one: Prediction, other: Prediction) -> bool:
    return one.maps.tobytes() == other.maps.tobytes() and one.scores.tobytes() == other.scores.tobytes()


def points(count: int, width: int, seed: int) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def farthest_first(cloud: np.ndarray, count: int, first: int) -> list[int]:
    chosen = [first]
    while len(chosen) < count:
        gaps = [min(((point - cloud[row]) ** 2).sum() for row in chosen) for point in cloud]
        chosen.append(int(np.argmax(gaps)))
    return chosen


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_coreset_is_the_greedy_one(seed):
    cloud = points(60, 5, seed)
    rows = coreset(cloud, 20, seed).tolist()
    assert rows == farthest_first(cloud.double().numpy(), 20, rows[0])


@pytest.mark.parametrize("farthest", [1, 3, 1024])
def test_choosing_many_per_pass_chooses_what_one_at_a_time_does(farthest, monkeypatch):
    monkeypatch.setattr(_memory, "FARTHEST", farthest)
    monkeypatch.setattr(_memory, "BLOCK", 700)
    cloud = points(2000, 6, 0)
    rows = coreset(cloud, 200, 0)
    gaps = torch.full((2000,), torch.inf)
    for row, following in pairwise(rows.tolist()):
        gaps = torch.minimum(gaps, (cloud - cloud[row]).square().sum(1))
        assert gaps[following].item() == pytest.approx(gaps.max().item(), rel=1e-5)


def test_the_coreset_never_takes_a_patch_twice():
    assert len(set(coreset(torch.ones(30, 4), 30, 0).tolist())) == 30


def test_the_nearest_in_the_bank_agrees_with_a_double_loop():
    patches, bank = points(30, 6, 0), points(12, 6, 1)
    squared, rows = nearest(patches, bank)
    table = np.array([[((a - b) ** 2).sum() for b in bank.double().numpy()] for a in patches.double().numpy()])
    np.testing.assert_array_equal(rows, table.argmin(1))
    np.testing.assert_allclose(squared, table.min(1), rtol=1e-5)


def test_the_nearest_are_the_same_however_large_the_table_is():
    patches, bank = points(30, 6, 0), points(12, 6, 1)
    whole, small = nearest(patches, bank), nearest(patches, bank, 4 * 12 * 7)
    assert torch.equal(whole[1], small[1])
    assert torch.equal(whole[0], small[0])


def test_a_patch_of_the_bank_has_distance_zero():
    bank = 1000 + points(12, 6, 1)
    assert nearest(bank[3:5], bank)[0].tolist() == [0, 0]


def test_a_projection_keeps_distances_on_average():
    cloud = points(200, 150, 0)
    ratio = torch.pdist(project(cloud, 64, 0)) / torch.pdist(cloud)
    assert ratio.mean().item() == pytest.approx(1, abs=0.05)


def test_the_reweighted_score_is_equation_seven():
    patch, bank = points(1, 4, 0)[0], points(10, 4, 1)
    (squared,), (row,) = nearest(patch[None], bank)
    around = sorted(range(10), key=lambda other: float(((bank[other] - bank[row]) ** 2).sum()))[:3]
    total = sum(float((bank[other] - patch).norm().exp()) for other in around)
    expected = (1 - float(squared.sqrt().exp()) / total) * float(squared)
    assert float(reweighted(patch, squared, bank, int(row), 3)) == pytest.approx(expected, rel=1e-5)


def test_a_reweighted_score_is_smaller_and_has_the_same_map(detector, tmp_path):
    batch = images(2, 3)
    plain, weighted = detector.predict(batch), fitted(tmp_path, reweight=True).predict(batch)
    assert (weighted.scores < plain.scores).all()
    assert weighted.maps.tobytes() == plain.maps.tobytes()


def test_without_smoothing_and_on_the_grid_the_score_is_the_largest_of_the_map(tmp_path):
    train, batch = images(4, 1, (1, 16, 16)), images(2, 3, (1, 16, 16))
    prediction = fitted(tmp_path, train=train, size=128, sigma=0.0).predict(batch)
    np.testing.assert_allclose(prediction.scores, prediction.maps.max((1, 2)))


def test_a_training_image_scores_zero_when_every_patch_is_kept(tmp_path):
    train = images(2, 1)
    assert (fitted(tmp_path, train=train, coreset=1.0).predict(train).scores < 1e-6).all()


@pytest.mark.parametrize(("params", "kept"), [({}, 51), ({"coreset": 0.5}, 128), ({"candidates": 40}, 40)])
def test_the_bank_is_a_share_of_all_patches_or_all_candidates(tmp_path, params, kept):
    assert fitted(tmp_path, **params).bank.shape == (kept, 152)


def test_pooled_features_have_the_length_asked_for(tmp_path):
    assert fitted(tmp_path, pooled=100).bank.shape[1] == 100


@pytest.mark.parametrize("channels", [1, 3])
def test_maps_have_the_size_of_the_images(tmp_path, channels):
    train, batch = images(2, 1, (channels, 48, 40)), images(3, 2, (channels, 48, 40))
    assert fitted(tmp_path, train=train).predict(batch).maps.shape == (3, 48, 40)


def test_the_same_seed_gives_the_same_bytes(detector, tmp_path):
    assert same_bytes(detector.predict(images(3, 8)), fitted(tmp_path).predict(images(3, 8)))


def test_a_bank_above_the_memory_is_refused_with_the_coreset_that_fits(tmp_path):
    train = images(16, 1)
    with pytest.raises(
        ParameterError, match=r"a bank of 1,024 patches of length 2000 .* Give a coreset of 0.13 or less"
    ):
        fitted(tmp_path, train=train, coreset=1.0, memory=1, pooled=2000)
    assert len(fitted(tmp_path, train=train, coreset=0.12, memory=1, pooled=2000).bank) == 123


def test_a_run_records_how_large_the_bank_is(detector):
    assert detector.diagnostics == {"bank_patches": 51, "bank_mib": 51 * 152 * 4 / 2**20}


@pytest.mark.parametrize(("reductions", "length", "patches"), [((16,), 112, 16), ((4, 8, 16), 24 + 40 + 112, 256)])
def test_any_levels_of_the_backbone_can_be_remembered(reductions, length, patches, tmp_path):
    found = fitted(tmp_path, reductions=reductions, coreset=1.0, train=images(2, 1))
    assert found.bank.shape == (2 * patches, length)


def test_the_network_has_its_backbone_s_features_without_batchnorm():
    backbone, short = Backbone("tf_efficientnet_lite0", (8, 16)), PatchCore("tf_efficientnet_lite0").network("cpu")
    assert not [module for module in short.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert short.weights_used == backbone.weights_used
    photos = torch.as_tensor(images(2, 3, (1, 64, 96)).pixels)
    for found, expected in zip(short(photos), backbone(photos), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.max()))


def test_patches_of_images_together_are_those_of_each(detector):
    photos, about = torch.as_tensor(images(3, 4).pixels), (detector.method.size, detector.method.pooled)
    alone = torch.cat([extract(detector.backbone, photo, *about) for photo in photos.split(1)])
    torch.testing.assert_close(extract(detector.backbone, photos, *about), alone, rtol=0, atol=1e-4)


def test_a_vision_transformer_has_the_grid_of_its_patches(tmp_path):
    transformer = {"backbone": "vit_tiny_patch16_224", "reductions": (16,), "weights": "random", "coreset": 1.0}
    found = fitted(tmp_path, **transformer, train=images(2, 1))
    assert found.bank.shape == (2 * 4 * 4, 192)
    found.save(tmp_path / "detector")
    loaded = PatchCore.load(tmp_path / "detector", "cpu")
    assert same_bytes(found.predict(images(2, 3)), loaded.predict(images(2, 3)))


def test_a_size_that_a_transformer_does_not_take_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"size is 72\. .*divisible by patch.* Give another size"):
        fitted(tmp_path, backbone="vit_tiny_patch16_224", reductions=(16,), weights="random", size=72)


def test_a_transformer_has_no_finer_level_than_its_patch(tmp_path):
    with pytest.raises(ParameterError, match=r"features at 1/16 of the input's side, none at 1/8.*other reductions"):
        fitted(tmp_path, backbone="vit_tiny_patch16_224", weights="random")


def test_an_image_alone_and_in_a_batch_has_the_same_bytes(detector):
    batch = images(5, 9)
    together, alone = detector.predict(batch), detector.predict(batch[3:4])
    assert together.maps[3].tobytes() == alone.maps[0].tobytes()
    assert together.scores[3] == alone.scores[0]


def test_a_saved_detector_comes_back_with_the_same_bytes(detector, tmp_path):
    detector.save(tmp_path / "detector")
    loaded = PatchCore.load(tmp_path / "detector", "cpu")
    assert same_bytes(detector.predict(images(3, 10)), loaded.predict(images(3, 10)))


def test_a_detector_names_the_weights_it_uses(detector):
    (used,) = detector.weights
    assert used["name"] == "tf_efficientnet_lite0"
    assert used["sha256"].startswith("579344248a93e230")


def test_random_weights_say_so_and_come_back_as_they_were(tmp_path):
    random = fitted(tmp_path, weights="random")
    assert random.weights[0]["source"] == "random: seed 0"
    random.save(tmp_path / "detector")
    loaded = PatchCore.load(tmp_path / "detector", "cpu")
    assert same_bytes(random.predict(images(3, 10)), loaded.predict(images(3, 10)))


def test_a_saved_detector_refuses_other_weights(detector, tmp_path):
    detector.save(tmp_path)
    about = json.loads((tmp_path / "patchcore.json").read_text())
    about["weights"]["sha256"] = "0" * 64
    (tmp_path / "patchcore.json").write_text(json.dumps(about))
    with pytest.raises(MissingWeightsError, match="fitted on weights 'tf_efficientnet_lite0' with sha256 0000"):
        PatchCore.load(tmp_path, "cpu")


@pytest.mark.parametrize("name", ["patchcore.json", "bank.pt"])
def test_a_damaged_detector_is_refused(detector, tmp_path, name):
    detector.save(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:100])
    with pytest.raises(InvalidDataError, match=f"{name} is .*damaged .*Fit the method again"):
        PatchCore.load(tmp_path, "cpu")


def test_missing_weights_are_said_with_the_file_to_place(tmp_path, monkeypatch):
    for name in ("UADBENCH_WEIGHTS", "TORCH_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("UADBENCH_OFFLINE", "1")
    with pytest.raises(
        MissingWeightsError, match=r"'wide_resnet50_2.tv_in1k' .* are missing: .*weights fetch wide_res"
    ):
        fitted(tmp_path, backbone="wide_resnet50_2.tv_in1k")


def test_weights_that_cannot_be_read_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "tf_efficientnet_lite0.safetensors").write_bytes(b"half a file")
    with pytest.raises(InvalidDataError, match="does not hold the weights of 'tf_efficientnet_lite0'"):
        fitted(tmp_path)


def test_images_smaller_than_the_stride_are_refused(detector):
    with pytest.raises(InvalidDataError, match="12 x 40 px are smaller than the backbone's stride, 16 px"):
        detector.predict(images(1, 0, (1, 12, 40)))


def test_images_with_two_channels_are_refused(detector):
    with pytest.raises(InvalidDataError, match="2 channels"):
        detector.predict(images(1, 0, (2, 48, 40)))


def test_an_unknown_backbone_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'tf_efficientnet_lite0'"):
        fitted(tmp_path, backbone="tf_eficientnet_lite0")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"coreset": 1.5}, "coreset is 1.5"),
        ({"coreset": 0.0}, "coreset is 0"),
        ({"size": 8}, "size is 8"),
        ({"sigma": -1.0}, "sigma is -1"),
        ({"neighbours": 1}, "neighbours is 1"),
        ({"weights": "mine"}, "weights is 'mine'"),
        ({"memory": 0}, "memory is 0"),
        ({"reductions": (16, 8)}, r"reductions is \(16, 8\)"),
        ({"reductions": ()}, "reductions is"),
    ],
)
def test_a_parameter_out_of_range_is_refused(override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        plugins.make("patchcore", **override)


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_every_preset_makes_a_method(preset):
    assert isinstance(plugins.make("patchcore", preset=preset), PatchCore)
