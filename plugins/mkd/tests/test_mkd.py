"""MKD: what is learned, what is scored, and what every detector promises."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from uadbench_mkd import mkd
from uadbench_mkd._checks import LOCALISATIONS
from uadbench_mkd._discrepancy import discrepancies
from uadbench_mkd.mkd import Distilled, Mkd

from uadbench import FitContext, Prediction
from uadbench.errors import InvalidDataError, MissingWeightsError
from uadbench.testing import MemorySource
from uadbench.testing.blobs import blobs

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TINY = Mkd(teacher="lite0", width=4, size=32, epochs=2, batch=4, lr=5e-3, smooth_samples=2, sigma=1.0, block=4)
TEST = blobs(5, 40, 36, seed=3)


def source(count: int, seed: int, channels: int = 1) -> MemorySource:
    grey = blobs(count, 32, 32, seed=seed)
    return MemorySource(replace(grey, pixels=np.repeat(grey.pixels, channels, axis=1)))


def fitted(method: Mkd, folder, *, seed: int = 0, channels: int = 1) -> Distilled:
    context = FitContext(seed, "cpu", "float32", folder)
    return method.fit(source(8, 1, channels), source(2, 2, channels), context)


@pytest.fixture(scope="module")
def detector(tmp_path_factory, one_torch_thread) -> Distilled:
    return fitted(TINY, tmp_path_factory.mktemp("fit"))


def told(detector: Distilled, **changes) -> Distilled:
    """The same networks with other parameters of the map."""
    return replace(detector, method=replace(detector.method, **changes))


def same_bytes(one: Prediction, other: Prediction) -> bool:
    return one.maps.tobytes() == other.maps.tobytes() and one.scores.tobytes() == other.scores.tobytes()


def grid(count: int = 4) -> torch.Tensor:
    return torch.as_tensor(blobs(count, 32, 32, seed=5).pixels)


def apart(learned, taught, weight: float = 0.01) -> list[float]:
    """The discrepancy of each image by the formula, over the levels given."""
    total = 0.0
    for one, other in zip(learned, taught, strict=True):
        mine, its = (level.detach().double().flatten(1).numpy() for level in (one, other))
        lengths = np.linalg.norm(mine, axis=1) * np.linalg.norm(its, axis=1)
        total += 1 - (mine * its).sum(1) / lengths + weight * ((mine - its) ** 2).mean(1)
    return total


def test_all_four_levels_are_learned(detector):
    student, teacher = detector.student, detector.teacher
    expected = np.mean(apart(student(grid()), teacher(grid())))
    assert TINY.loss(student, teacher, grid()).item() == pytest.approx(expected, rel=1e-5)


def test_the_score_is_the_loss_on_the_three_coarser_levels(detector):
    images = blobs(3, 32, 32, seed=4)
    seen = torch.as_tensor(images.pixels)
    expected = apart(detector.student(seen)[1:], detector.teacher(seen)[1:])
    np.testing.assert_allclose(detector.predict(images).scores, expected, rtol=1e-4)


@pytest.mark.parametrize("localisation", LOCALISATIONS)
def test_the_score_is_the_same_whatever_makes_the_map(detector, localisation):
    scores = told(detector, localisation=localisation).predict(TEST).scores
    np.testing.assert_allclose(scores, detector.predict(TEST).scores, rtol=1e-5)


def test_maps_of_different_localisations_differ(detector):
    maps = {told(detector, localisation=name).predict(TEST).maps.tobytes() for name in LOCALISATIONS}
    assert len(maps) == len(LOCALISATIONS)


def test_learning_changes_the_student_and_not_a_bit_of_the_teacher(detector):
    fresh = TINY.frozen("cpu")
    for name, tensor in detector.teacher.state_dict().items():
        assert torch.equal(tensor, fresh.state_dict()[name]), name
    assert all(weights.grad is None for weights in detector.teacher.parameters())
    assert not any(one.training for one in (*detector.teacher.modules(), *detector.student.modules()))


def test_the_teacher_stays_in_eval_mode_while_the_student_trains(tmp_path):
    teacher = TINY.frozen("cpu")
    student = TINY.student(teacher)
    learner = TINY.learner(student, teacher, FitContext(0, "cpu", "float32", tmp_path))
    learner.network.train()
    learner.step(grid(), 0)
    assert student.training
    assert not any(one.training for one in teacher.modules())


def test_training_brings_the_student_nearer_to_its_teacher(tmp_path):
    short, longer = (fitted(replace(TINY, epochs=epochs), tmp_path / str(epochs)) for epochs in (1, 8))
    before, after = (TINY.loss(one.student, one.teacher, grid()).item() for one in (short, longer))
    assert after < before


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(detector, tmp_path):
    assert same_bytes(detector.predict(TEST), fitted(TINY, tmp_path / "a").predict(TEST))
    assert not same_bytes(detector.predict(TEST), fitted(TINY, tmp_path / "b", seed=1).predict(TEST))


@pytest.mark.parametrize("localisation", LOCALISATIONS)
def test_an_image_has_the_same_bytes_alone_and_in_any_batch(detector, localisation):
    one = told(detector, localisation=localisation)
    whole, backwards = one.predict(TEST), one.predict(TEST[::-1])
    assert backwards.maps[::-1].tobytes() == whole.maps.tobytes()
    for row in range(len(TEST)):
        alone = one.predict(TEST[row : row + 1])
        assert alone.maps[0].tobytes() == whole.maps[row].tobytes()
        assert alone.scores[0] == whole.scores[row]


@pytest.mark.parametrize("localisation", LOCALISATIONS)
def test_predicting_needs_nothing_of_its_caller_and_leaves_nothing_behind(detector, localisation):
    one = told(detector, localisation=localisation)
    expected = one.predict(TEST)
    with torch.no_grad():
        assert same_bytes(one.predict(TEST), expected)
    assert same_bytes(one.predict(TEST), expected)
    assert all(weights.grad is None for weights in detector.teacher.parameters())


def test_the_noise_of_smooth_maps_depends_on_the_seed_and_the_image(detector):
    one = told(detector, localisation="smooth")
    assert not same_bytes(replace(one, seed=1).predict(TEST), one.predict(TEST))


def test_by_default_maps_have_no_range_of_their_own(detector):
    plain, own = (
        told(detector, sigma=0.0, per_image_range=one).predict(blobs(3, 32, 32, seed=6)) for one in (False, True)
    )
    assert (own.maps.min((1, 2)) == 0).all()
    assert (own.maps.max((1, 2)) == 1).all()
    assert len(set(plain.maps.max((1, 2)))) == 3


def test_without_smoothing_the_plain_map_is_the_slope_of_the_score(detector):
    images = blobs(2, 32, 32, seed=7)
    seen = torch.as_tensor(images.pixels).repeat(1, 3, 1, 1).requires_grad_()
    discrepancies(detector.student(seen)[1:], detector.teacher(seen)[1:], 0.01).sum().backward()
    found = told(detector, localisation="gradient", sigma=0.0).predict(images).maps
    np.testing.assert_allclose(found, seen.grad.abs().sum(1), rtol=1e-3, atol=1e-6)


def test_a_saved_detector_comes_back_with_the_same_bytes(tmp_path):
    detector = fitted(replace(TINY, weights="random", epochs=1, localisation="smooth"), tmp_path)
    detector.save(tmp_path / "detector")
    loaded = Mkd.load(tmp_path / "detector", "cpu")
    assert same_bytes(loaded.predict(TEST), detector.predict(TEST))
    assert loaded.weights == detector.weights
    assert loaded.weights[0]["source"] == "random: seed 0"


def test_the_paper_s_networks_learn_without_its_weights_and_say_so(tmp_path):
    pytest.importorskip("torchvision")
    detector = fitted(Mkd(weights="random", size=32, epochs=1, batch=8, block=2), tmp_path, channels=3)
    assert sum(weights.numel() for weights in detector.student.parameters()) == 343_984
    assert detector.weights[0]["name"] == "vgg16"
    assert detector.weights[0]["source"] == "random: seed 0"
    colour = replace(TEST, pixels=np.repeat(TEST.pixels, 3, axis=1))
    assert detector.predict(colour).maps.shape == (5, 40, 36)


def test_a_detector_names_the_weights_it_uses(detector):
    (used,) = detector.weights
    assert used["name"] == "tf_efficientnet_lite0"
    assert used["sha256"].startswith("579344248a93e230")


def test_a_saved_detector_refuses_other_weights(detector, tmp_path):
    detector.save(tmp_path)
    record = json.loads((tmp_path / mkd.TEACHER).read_text())
    (tmp_path / mkd.TEACHER).write_text(json.dumps({**record, "sha256": "0" * 64}))
    with pytest.raises(MissingWeightsError, match="fitted on weights 'tf_efficientnet_lite0' with sha256 0000"):
        Mkd.load(tmp_path, "cpu")


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_a_damaged_record_of_the_teacher_is_refused(detector, tmp_path, text):
    detector.save(tmp_path)
    (tmp_path / mkd.TEACHER).write_text(text)
    with pytest.raises(InvalidDataError, match=r"teacher\.json is missing or damaged"):
        Mkd.load(tmp_path, "cpu")


def test_missing_weights_are_refused_before_the_training(tmp_path, monkeypatch):
    pytest.importorskip("torchvision")
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path / "here"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    with pytest.raises(MissingWeightsError, match=r"'vgg16'.*uadbench weights fetch vgg16"):
        fitted(replace(TINY, teacher="vgg16"), tmp_path)


@pytest.mark.parametrize(("teacher", "file"), [("vgg16", "vgg16"), ("lite0", "tf_efficientnet_lite0")])
def test_weights_that_cannot_be_read_are_refused(teacher, file, tmp_path, monkeypatch):
    pytest.importorskip("torchvision")
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / f"{file}.safetensors").write_bytes(b"half a file")
    with pytest.raises(InvalidDataError, match=f"does not hold the weights of '{file}'. Place the right file there"):
        fitted(replace(TINY, teacher=teacher), tmp_path)


def test_images_smaller_than_the_stride_are_refused(detector):
    with pytest.raises(InvalidDataError, match=r"24 x 40 px are smaller than the stride .*, 32 px"):
        detector.predict(blobs(1, 24, 40, seed=0))


def test_images_with_two_channels_are_refused(tmp_path):
    with pytest.raises(InvalidDataError, match="2 channels"):
        fitted(TINY, tmp_path, channels=2)


def test_a_detector_of_grey_images_refuses_rgb(detector):
    colour = replace(TEST, pixels=np.repeat(TEST.pixels, 3, axis=1))
    with pytest.raises(InvalidDataError, match="fitted on images of 1 channels; these have 3"):
        detector.predict(colour)
