"""The losses against a few lines of numpy: bounds, their exponentials, both losses, the reversed embedding."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from uadbench_introspective._losses import (
    Round,
    Weights,
    decoder_loss,
    divergence,
    encoder_loss,
    exp_elbo,
    reversed_embedding,
    squared_error,
)
from uadbench_introspective._networks import Encoded

pytestmark = pytest.mark.usefixtures("one_torch_thread")

WEIGHTS = Weights(rec=0.5, kl=2.0, neg=16.0, gamma=0.25, reverse=0.125)
SIZE = 4
S = 1 / SIZE**2


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def made(seed: int) -> Round:
    """A round of 3 images with everything at random."""
    images, seen = random(2, 3, 1, SIZE, SIZE, seed=seed)
    mean, log_variance = 2 * random(2, 3, 5, seed=seed + 1) - 1
    maps = [random(3, 2, side, side, seed=seed + side) - 0.3 for side in (4, 2)]
    return Round(images, Encoded(mean, log_variance, maps), seen)


REAL, REC, FAKE = made(10), made(20), made(30)


def kl(one: Round) -> np.ndarray:
    """KL of each posterior to N(0, 1), latent by latent: log(1/sigma) + (sigma^2 + mu^2) / 2 - 1/2."""
    mean, sigma = one.encoded.mean.double().numpy(), np.exp(one.encoded.log_variance.double().numpy() / 2)
    return (np.log(1 / sigma) + (sigma**2 + mean**2) / 2 - 0.5).sum(1)


def sse(one: Round) -> np.ndarray:
    return np.array([((a - b) ** 2).sum() for a, b in zip(one.images.numpy(), one.seen.numpy(), strict=True)])


def exponential(one: Round) -> np.ndarray:
    return np.exp(-2 * S * (0.5 * sse(one) + 16 * kl(one)))


def embedding(one: Round, other: Round) -> float:
    """Level by level and image by image."""
    total = 0.0
    for maps, others in zip(one.encoded.maps, other.encoded.maps, strict=True):
        for a, b in zip(maps.numpy(), others.numpy(), strict=True):
            a, b = a.ravel().astype(float), b.ravel().astype(float)
            cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            total += (1 - cosine + 0.5 * np.mean((a - b) ** 2)) / len(maps)
    return total


def test_the_divergence_is_that_of_two_gaussians():
    found = divergence(REAL.encoded.mean, REAL.encoded.log_variance)
    np.testing.assert_allclose(found, kl(REAL), rtol=1e-5)


def test_the_divergence_of_the_prior_is_zero():
    assert divergence(torch.zeros(2, 5), torch.zeros(2, 5)).tolist() == [0, 0]


def test_the_error_is_summed_over_the_pixels_of_each_image():
    np.testing.assert_allclose(squared_error(REAL.images, REAL.seen), sse(REAL), rtol=1e-5)


def test_an_exponential_is_one_for_what_the_encoder_knows_and_less_for_the_rest():
    known = Round(REAL.images, Encoded(torch.zeros(3, 5), torch.zeros(3, 5), []), REAL.images)
    assert exp_elbo(known, WEIGHTS).tolist() == [1, 1, 1]
    np.testing.assert_allclose(exp_elbo(REAL, WEIGHTS), exponential(REAL), rtol=1e-5)
    assert (exponential(REAL) < 1).all()


def test_the_encoder_s_loss_is_bound_exponentials_and_reversed_embedding():
    bound = S * (0.5 * sse(REAL).mean() + 2 * kl(REAL).mean())
    expected = bound + 0.25 * (exponential(REC).mean() + exponential(FAKE).mean()) + 0.125 * embedding(REAL, REC)
    assert encoder_loss(REAL, REC, FAKE, WEIGHTS).item() == pytest.approx(expected, rel=1e-5)


def test_the_decoder_s_loss_is_error_divergences_and_a_little_of_the_errors_of_what_it_made():
    error, likely = 0.5 * sse(REAL).mean(), 0.5 * 2 * (kl(REC).mean() + kl(FAKE).mean())
    expected = S * (error + likely + 0.25 * 0.5 * 0.5 * (sse(REC).mean() + sse(FAKE).mean()))
    assert decoder_loss(REAL, REC, FAKE, WEIGHTS).item() == pytest.approx(expected, rel=1e-5)


def test_without_gamma_the_decoder_need_not_decode_what_it_made():
    rec, fake = (replace(one, seen=None) for one in (REC, FAKE))
    expected = S * (0.5 * sse(REAL).mean() + kl(REC).mean() + kl(FAKE).mean())
    assert decoder_loss(REAL, rec, fake, replace(WEIGHTS, gamma=0.0)).item() == pytest.approx(expected, rel=1e-5)


def test_without_the_reversed_weight_maps_do_not_matter():
    weights = replace(WEIGHTS, reverse=0.0)
    mapless = [replace(one, encoded=replace(one.encoded, maps=[])) for one in (REAL, REC, FAKE)]
    assert encoder_loss(*mapless, weights) == encoder_loss(REAL, REC, FAKE, weights)


def test_the_reversed_embedding_is_cosine_and_half_the_squared_difference_per_level():
    assert reversed_embedding(REAL.encoded.maps, REC.encoded.maps).item() == pytest.approx(
        embedding(REAL, REC), rel=1e-5
    )


def test_the_reversed_embedding_of_a_known_pair():
    one, other = torch.tensor([[[[3.0, 4.0]]]]), torch.tensor([[[[4.0, 3.0]]]])
    assert reversed_embedding([one], [other]).item() == pytest.approx(1 - 24 / 25 + 0.5 * 1.0)
    assert reversed_embedding([one, one], [other, other]).item() == pytest.approx(2 * (1 - 24 / 25 + 0.5))
    assert reversed_embedding([one], [one]).item() == pytest.approx(0, abs=1e-6)


def test_the_reversed_embedding_sends_gradients_through_both_passes():
    maps = [[random(2, 3, 2, 2, seed=seed).requires_grad_()] for seed in (1, 2)]
    reversed_embedding(*maps).backward()
    assert all(one.grad.abs().sum() > 0 for (one,) in maps)


def test_the_decoder_s_small_term_holds_the_images_that_it_made():
    images = REC.images.clone().requires_grad_()
    loss = decoder_loss(REAL, replace(REC, images=images, seen=REC.seen.clone().requires_grad_()), FAKE, WEIGHTS)
    assert torch.autograd.grad(loss, images, allow_unused=True) == (None,)


def test_losses_are_float32_in_half_precision():
    with torch.autocast("cpu", torch.bfloat16):
        halved = [
            replace(one, encoded=Encoded(*(part.bfloat16() for part in moments(one)), maps_of(one)))
            for one in (REAL, REC, FAKE)
        ]
        found = [exp_elbo(halved[1], WEIGHTS), encoder_loss(*halved, WEIGHTS), decoder_loss(*halved, WEIGHTS)]
    assert {one.dtype for one in found} == {torch.float32}


def moments(one: Round) -> tuple[torch.Tensor, torch.Tensor]:
    return one.encoded.mean, one.encoded.log_variance


def maps_of(one: Round) -> list[torch.Tensor]:
    return [each.bfloat16() for each in one.encoded.maps]
