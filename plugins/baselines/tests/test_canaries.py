"""Each canary against its definition in one line, and the promises that the boards build on."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.exposure import equalize_hist
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from uadbench import plugins
from uadbench.errors import InvalidDataError, ParameterError
from uadbench.testing import MemorySource
from uadbench.types import FitContext, Images

CANARIES = (
    "constant",
    "random",
    "intensity",
    "inverted-intensity",
    "hist-eq",
    "blur-residual",
    "mean-residual",
    "pca-residual",
)


def healthy(n, seed, size=16, levels=256):
    """Noise of few grey levels on a square foreground."""
    pixels = np.random.default_rng(seed).integers(0, levels, (n, 1, size, size)) / np.float32(levels - 1)
    foreground = np.zeros((n, size, size), bool)
    foreground[:, 2:-2, 2:-2] = True
    names = tuple(f"{seed}-{i}" for i in range(n))
    return Images((pixels * foreground[:, None]).astype(np.float32), foreground, names, names)


@pytest.fixture
def fitted(tmp_path):
    context = FitContext(seed=0, device="cpu", precision="float32", workdir=tmp_path)
    return lambda name, **params: plugins.make(name, **params).fit(
        MemorySource(healthy(10, seed=1)), MemorySource(healthy(2, seed=2)), context
    )


TRAIN, TEST = healthy(10, seed=1), healthy(7, seed=3)


def test_every_canary_of_the_protocols_is_offered_and_marked():
    marked = {name for name, found in plugins.registry().methods().items() if found.spec.canary}
    assert set(CANARIES) <= marked


def test_constant_gives_one_score_to_all(fitted):
    found = fitted("constant").predict(TEST)
    assert set(found.scores) == {0.0}
    assert not found.maps.any()


def test_intensity_is_the_image(fitted):
    np.testing.assert_array_equal(fitted("intensity").predict(TEST).maps, TEST.pixels[:, 0])


@pytest.mark.parametrize("levels", [2, 256])  # few levels = many ties
def test_inverted_intensity_has_exactly_one_minus_the_auroc_of_intensity(fitted, levels):
    images, labels = healthy(40, seed=4, size=6, levels=levels), np.arange(40) % 3 == 0
    masks = np.random.default_rng(5).random((40, 36)) < 0.1
    up, down = (fitted(name).predict(images) for name in ("intensity", "inverted-intensity"))
    np.testing.assert_array_equal(down.scores, -up.scores)
    assert roc_auc_score(labels, down.scores) == pytest.approx(1 - roc_auc_score(labels, up.scores), abs=1e-12)
    pixels = [roc_auc_score(masks.ravel(), one.maps.ravel()) for one in (up, down)]
    assert sum(pixels) == pytest.approx(1, abs=1e-12)


def test_hist_eq_is_the_equalised_foreground_on_zero(fitted):
    image, inside = TEST.pixels[0, 0], TEST.foreground[0]
    expected = equalize_hist(image, nbins=256, mask=inside) * inside
    np.testing.assert_allclose(fitted("hist-eq").predict(TEST).maps[0], expected, rtol=1e-6)


def test_hist_eq_of_an_image_without_foreground_is_zero(fitted):
    empty = Images(TEST.pixels, np.zeros_like(TEST.foreground), TEST.ids, TEST.subjects)
    assert not fitted("hist-eq").predict(empty).maps.any()


def test_blur_residual_is_the_distance_to_the_blurred_image(fitted):
    image = TEST.pixels[2, 0]
    expected = np.abs(image - gaussian_filter(image, 1.5))
    np.testing.assert_array_equal(fitted("blur-residual", sigma=1.5).predict(TEST).maps[2], expected)


def test_mean_residual_is_the_distance_to_the_mean_of_train(fitted):
    expected = np.abs(TEST.pixels - TRAIN.pixels.mean(axis=0))[:, 0]
    np.testing.assert_allclose(fitted("mean-residual").predict(TEST).maps, expected, atol=1e-6)


def test_pca_residual_agrees_with_scikit_learn(fitted):
    found = fitted("pca-residual", components=4).predict(TEST)
    pca = PCA(4, svd_solver="full").fit(TRAIN.pixels.reshape(10, -1))
    expected = pca.inverse_transform(pca.transform(TEST.pixels.reshape(7, -1))).reshape(TEST.pixels.shape)
    np.testing.assert_allclose(found.reconstructions, expected, atol=1e-5)
    np.testing.assert_allclose(found.maps, np.abs(TEST.pixels - expected)[:, 0], atol=1e-5)


def test_pca_residual_reconstructs_what_it_has_seen(fitted):
    assert fitted("pca-residual").predict(TRAIN).maps.max() < 1e-4


def test_random_depends_on_seed_and_image_alone(tmp_path, fitted):
    first = fitted("random").predict(TEST)
    other = plugins.make("random").fit(None, None, FitContext(1, "cpu", "float32", tmp_path)).predict(TEST)
    again = fitted("random").predict(TEST[3:4])
    np.testing.assert_array_equal(first.maps[3:4], again.maps)
    assert (first.maps != other.maps).all(axis=0).any()


@pytest.mark.parametrize("name", CANARIES)
def test_scores_are_the_means_of_the_maps(fitted, name):
    found = fitted(name).predict(TEST)
    np.testing.assert_allclose(found.scores, found.maps.mean(axis=(1, 2), dtype=np.float64), rtol=1e-12)


@pytest.mark.parametrize("name", ["mean-residual", "pca-residual"])
def test_another_image_size_than_fitted_is_refused(fitted, name):
    with pytest.raises(InvalidDataError, match=r"fitted on images of shape \(1, 16, 16\)"):
        fitted(name).predict(healthy(2, seed=6, size=20))


@pytest.mark.parametrize(
    ("name", "params"),
    [("pca-residual", {"components": 0}), ("blur-residual", {"sigma": 0.0}), ("hist-eq", {"bins": 1})],
)
def test_parameters_out_of_range_are_refused(name, params):
    with pytest.raises(ParameterError, match="Give"):
        plugins.make(name, **params)
