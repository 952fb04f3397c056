"""Reverse distillation: its loss, its map, that it learns, and what its detectors keep."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cosine
from uadbench_features._cosines import apart, flattened_loss, position_loss
from uadbench_features._detector import FeatureDetector, frozen
from uadbench_features._levels import levels_of, packed, unpacked
from uadbench_features.reverse_distillation import ReverseDistillation

from uadbench import FitContext, plugins
from uadbench.errors import InvalidDataError, MissingWeightsError, ParameterError, UnknownNameError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TINY = ReverseDistillation("tf_efficientnet_lite0", 32, width=4, blocks=1, epochs=2, batch=4)
TEST = blobs(3, 40, 36, seed=3)


@pytest.fixture
def context(tmp_path) -> FitContext:
    return FitContext(0, "cpu", "float32", tmp_path)


def fitted(method: ReverseDistillation, context: FitContext) -> FeatureDetector:
    return method.fit(MemorySource(blobs(8, 40, 36, seed=1)), MemorySource(blobs(2, 40, 36, seed=2)), context)


@pytest.fixture(scope="module")
def detector(tmp_path_factory, one_torch_thread) -> FeatureDetector:
    return fitted(TINY, FitContext(0, "cpu", "float32", tmp_path_factory.mktemp("distillation")))


def pairs() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    numbers = torch.Generator().manual_seed(0)
    shapes = [(2, 3, 4, 4), (2, 5, 2, 2), (2, 7, 1, 1)]
    one, other = ([torch.randn(shape, generator=numbers) for shape in shapes] for _ in range(2))
    return one, other


def test_the_distance_at_a_position_is_scipy_s_cosine_distance():
    one, other = pairs()
    found = apart(one[0], other[0])
    assert float(found[1, 2, 3]) == pytest.approx(cosine(one[0][1, :, 2, 3], other[0][1, :, 2, 3]), abs=1e-6)


def test_the_loss_is_the_sum_over_levels_of_the_mean_over_positions():
    one, other = pairs()
    expected = 0.0
    for a, b in zip(one, other, strict=True):
        n, _, h, w = a.shape
        places = [(i, y, x) for i in range(n) for y in range(h) for x in range(w)]
        expected += np.mean([cosine(a[i, :, y, x], b[i, :, y, x]) for i, y, x in places])
    assert float(position_loss(one, other)) == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_published_code_compares_every_level_as_one_vector():
    one, other = pairs()
    expected = sum(
        np.mean([cosine(a[i].ravel(), b[i].ravel()) for i in range(2)]) for a, b in zip(one, other, strict=True)
    )
    assert float(flattened_loss(one, other)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [position_loss, flattened_loss])
def test_features_of_another_length_but_the_same_direction_cost_nothing(loss):
    one, _ = pairs()
    assert float(loss(one, [3 * level for level in one])) == pytest.approx(0, abs=1e-6)


def test_the_map_sums_the_levels_drawn_up_and_smoothed_and_the_score_is_its_maximum(detector):
    with torch.inference_mode():
        levels = levels_of(detector.backbone, torch.tensor(TEST.pixels[:1]), 32)
        summed = np.zeros((40, 36), np.float32)
        for a, b in zip(detector.network(levels), levels, strict=True):
            distance = torch.tensor([[[[cosine(a[0, :, y, x], b[0, :, y, x]) for x in range(b.shape[3])]
                                       for y in range(b.shape[2])]]])  # fmt: skip
            summed += torch.nn.functional.interpolate(distance, (40, 36), mode="bilinear")[0, 0].numpy()
    found = detector.predict(TEST[:1])
    np.testing.assert_allclose(found.maps[0], gaussian_filter(summed, 4.0), rtol=1e-4)
    assert found.scores[0] == found.maps[0].max()


def test_training_brings_the_student_nearer_to_the_teacher(detector, context):
    longer = fitted(replace(TINY, epochs=8), context)
    assert longer.predict(TEST).maps.mean() < detector.predict(TEST).maps.mean()


def test_training_leaves_the_teacher_as_it_was(detector):
    fresh = frozen(TINY, "cpu").state_dict()
    assert all(torch.equal(kept, fresh[name]) for name, kept in detector.backbone.state_dict().items())


def test_the_loss_of_published_code_trains_another_student(detector, context):
    found = fitted(replace(TINY, loss="flattened"), context).predict(TEST)
    assert not np.allclose(found.maps, detector.predict(TEST).maps)


def test_packed_levels_come_back_as_they_were():
    levels = [torch.randn(2, c, side, side) for c, side in ((3, 8), (5, 4), (7, 2))]
    again = unpacked(packed(levels), (3, 5, 7), 32)
    assert all(torch.equal(a, b) for a, b in zip(levels, again, strict=True))


def test_features_that_are_kept_train_the_same_student(detector, context):
    found = fitted(replace(TINY, keep_features=True), context).predict(TEST)
    np.testing.assert_allclose(found.maps, detector.predict(TEST).maps, rtol=0.01)


def test_the_paper_s_network_makes_a_step_on_random_weights(context):
    method = plugins.make("reverse-distillation", preset="paper", size=64, weights="random")
    teacher = frozen(method, "cpu")
    network = method.network(teacher)
    before = network.stages[0][0].body[0][0].weight.clone()
    learner = method.learner(teacher, network.train(), context)
    value = float(learner.step(torch.tensor(blobs(2, 64, 64, seed=0).pixels), 0))
    assert 0 < value < 6  # three levels, each from 0 to 2
    assert not torch.equal(network.stages[0][0].body[0][0].weight, before)
    (group,) = learner.optimisers[0].param_groups
    assert (group["lr"], group["betas"]) == (0.005, (0.5, 0.999))


def test_a_saved_detector_comes_back_with_the_same_bytes(detector, tmp_path):
    detector.save(tmp_path / "detector")
    again, expected = ReverseDistillation.load(tmp_path / "detector", "cpu").predict(TEST), detector.predict(TEST)
    assert again.maps.tobytes() == expected.maps.tobytes()
    assert again.scores.tobytes() == expected.scores.tobytes()


def test_an_image_has_the_same_bytes_alone_and_in_a_batch_also_in_blocks(context):
    blocked = fitted(replace(TINY, block=2), context)
    alone = [blocked.predict(TEST[row : row + 1]).maps[0].tobytes() for row in range(len(TEST))]
    assert alone == [one.tobytes() for one in blocked.predict(TEST).maps]


def test_a_detector_names_the_teacher_s_weights(detector, context):
    assert detector.weights[0]["sha256"].startswith("579344248a93e230")
    assert fitted(replace(TINY, weights="random"), context).weights[0]["source"] == "random: seed 0"


def test_missing_weights_are_said_before_the_training(context, tmp_path, monkeypatch):
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    monkeypatch.setenv("UADBENCH_OFFLINE", "1")
    with pytest.raises(MissingWeightsError, match=r"'wide_resnet50_2.tv_in1k' .* are missing"):
        fitted(ReverseDistillation(), context)


def test_weights_that_cannot_be_read_are_refused(context, tmp_path, monkeypatch):
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "tf_efficientnet_lite0.safetensors").write_bytes(b"half a file")
    with pytest.raises(InvalidDataError, match="does not hold the weights of 'tf_efficientnet_lite0'"):
        fitted(TINY, context)


def test_images_smaller_than_the_stride_are_refused(detector):
    with pytest.raises(InvalidDataError, match="40 x 12 px are smaller than the backbone's stride, 16 px"):
        detector.predict(blobs(1, 40, 12, seed=0))


def test_a_batch_larger_than_the_training_set_is_refused(context):
    with pytest.raises(ParameterError, match="batch is 16, but there are only 8 training images"):
        fitted(replace(TINY, batch=16), context)


def test_an_unknown_teacher_is_refused_with_the_nearest_name(context):
    with pytest.raises(UnknownNameError, match="Did you mean 'tf_efficientnet_lite0'"):
        fitted(replace(TINY, backbone="tf_eficientnet_lite0"), context)
