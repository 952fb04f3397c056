"""Moments, covariances and distances: against scikit-learn, scipy and the formula as it is written."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import OAS, LedoitWolf, ShrunkCovariance
from uadbench_features._gaussians import COVARIANCES, Gaussians, Moments, whitening

from uadbench.errors import InvalidDataError

POSITIONS, DIMENSIONS = 3, 5


class SampleCovariance:
    """numpy's, with scikit-learn's face."""

    def fit(self, features):
        self.covariance_ = np.cov(features.T)
        return self


REFERENCES = {
    "empirical": SampleCovariance(),
    "ledoit-wolf": LedoitWolf(),
    "oas": OAS(),
    "shrunk": ShrunkCovariance(shrinkage=0.3),
}


def samples(count: int, *, offset: float = 2.0, seed: int = 0) -> np.ndarray:
    """Correlated features (n, p, d), different at every position, far from 0 by `offset`."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(POSITIONS, DIMENSIONS, DIMENSIONS))
    return (np.einsum("npd,pde->npe", rng.normal(size=(count, POSITIONS, DIMENSIONS)), mixing) + offset).astype("f4")


def moments(features: np.ndarray, part: int = 4) -> Moments:
    found = Moments.around(torch.tensor(features[:part]).mean(0))
    for start in range(0, len(features), part):
        found.add(torch.tensor(features[start : start + part]))
    return found


@pytest.mark.parametrize("count", [4, 7, 60])  # fewer images than dimensions, a few more, many
@pytest.mark.parametrize("name", COVARIANCES)
def test_covariances_agree_with_scikit_learn(name, count):
    features = samples(count)
    found = COVARIANCES[name](moments(features), 0.3)
    for position in range(POSITIONS):
        expected = REFERENCES[name].fit(features[:, position].astype(float)).covariance_
        np.testing.assert_allclose(found[position], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_every_covariance_has_a_reference():
    assert set(REFERENCES) == set(COVARIANCES)


@pytest.mark.parametrize("part", [1, 3, 30])
def test_moments_do_not_depend_on_the_parts_that_images_come_in(part):
    features = samples(30)
    found, power = moments(features, part), np.square(features - features.mean(0)).sum(2)
    np.testing.assert_allclose(found.mean, features.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.fourth_power, np.square(power).mean(0), rtol=1e-4)


def test_features_far_from_zero_keep_their_digits():
    features = samples(30, offset=1000.0)
    found = COVARIANCES["empirical"](moments(features), 0.0)
    np.testing.assert_allclose(found[0], np.cov(features[:, 0].astype(float).T), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", COVARIANCES)
def test_features_that_never_change_have_the_covariance_zero(name):
    constant = np.ones((6, POSITIONS, DIMENSIONS), "f4")
    assert not COVARIANCES[name](moments(constant), 0.3).any()


@pytest.mark.parametrize("count", [4, 60])
def test_the_distance_is_scipy_s_with_the_regularised_covariance(count):
    features, seen = samples(count), samples(1, seed=1)[0]
    network, found = Gaussians(POSITIONS, DIMENSIONS), moments(features)
    network.mean, network.whitening = found.mean, whitening(COVARIANCES["empirical"](found, 0.0), 0.01, count)
    for position, distance in enumerate(network(torch.tensor(seen))):
        healthy = features[:, position].astype(float)
        inverse = np.linalg.inv(np.cov(healthy.T) + 0.01 * np.eye(DIMENSIONS))
        assert float(distance) == pytest.approx(mahalanobis(seen[position], healthy.mean(0), inverse), rel=2e-3)


def test_without_correlation_the_distance_counts_standard_deviations():
    network = Gaussians(1, 2)
    network.whitening = whitening(torch.tensor([[[4.0, 0.0], [0.0, 9.0]]]), 0.0, 10)
    assert float(network(torch.tensor([[2.0, 6.0]]))) == pytest.approx(5**0.5)


def test_fewer_images_than_dimensions_are_refused_without_regularisation():
    sentence = (
        r"singular at 3 of 3 positions \(4 training images, 5 dimensions\). "
        "Give more images, fewer `dimensions`, or a `regularisation` above 0"
    )
    with pytest.raises(InvalidDataError, match=sentence):
        whitening(COVARIANCES["empirical"](moments(samples(4)), 0.0), 0.0, 4)


def test_only_positions_that_are_singular_are_counted():
    features = samples(60)
    features[:, 1] = 0.5
    with pytest.raises(InvalidDataError, match="singular at 1 of 3 positions"):
        whitening(COVARIANCES["ledoit-wolf"](moments(features), 0.0), 0.0, 60)


def test_a_shrunk_covariance_of_few_images_can_be_inverted():
    found = whitening(COVARIANCES["ledoit-wolf"](moments(samples(4)), 0.0), 0.0, 4)
    assert torch.isfinite(found).all()
