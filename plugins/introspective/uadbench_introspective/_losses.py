"""The losses of introspective autoencoders: bounds on the likelihood, their exponentials, and the reversed embedding.

Source: Daniel and Tamar, CVPR 2021 (Soft-IntroVAE), sec. 4; scaled by s = 1 / (c h w) as in the authors' code. RA's
embedding loss: Bercea et al., MIDL 2023, eq. 3 and 4.
All of it is to be minimised (the papers maximise) and is computed in float32. Nothing is clamped: a log-variance above
88 overflows, and the training loop refuses the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from uadbench_introspective._networks import Encoded, Pixels

PerImage = Float[Tensor, " n"]
Loss = Float[Tensor, ""]
Maps = Sequence[Float[Tensor, "n _c _s _s"]]


@dataclass(frozen=True, slots=True)
class Weights:
    """What the terms weigh: reconstruction, divergence of real images and of generated ones, and two small ones.

    `gamma` is that of the error of what the decoder makes of generated images, `reverse` that of RA's embedding loss; 0
    leaves either out, with the passes that it needs.
    """

    rec: float
    kl: float
    neg: float
    gamma: float
    reverse: float = 0.0


@dataclass(frozen=True, slots=True)
class Round:
    """Images, what the encoder makes of them, and what the decoder makes of that (None where nobody asks)."""

    images: Pixels
    encoded: Encoded
    seen: Pixels | None

    @property
    def error(self) -> PerImage:
        """Of what the decoder made."""
        assert self.seen is not None
        return squared_error(self.images, self.seen)

    @property
    def divergence(self) -> PerImage:
        """Of the posterior."""
        return divergence(self.encoded.mean, self.encoded.log_variance)


def squared_error(images: Pixels, seen: Pixels) -> PerImage:
    """Sum of (x - x_hat)^2 over the pixels of each image."""
    return (images.float() - seen.float()).square().flatten(1).sum(1)  # (n, c, s, s) -> (n,)


def divergence(mean: Float[Tensor, "n z"], log_variance: Float[Tensor, "n z"]) -> PerImage:
    """KL(N(mean, sigma^2) || N(0, 1)) = -1/2 sum(1 + log sigma^2 - mean^2 - sigma^2) per image, in nats, >= 0."""
    mean, log_variance = mean.float(), log_variance.float()
    return -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1)


def exp_elbo(generated: Round, weights: Weights) -> PerImage:
    """exp(-2 s (b_rec SSE + b_neg KL)) per generated image, in [0, 1]: how well the encoder knows it."""
    surprise = weights.rec * generated.error + weights.neg * generated.divergence
    return torch.exp(-2 * _scale(generated.images) * surprise)


def encoder_loss(real: Round, rec: Round, fake: Round, weights: Weights) -> Loss:
    """Real images are to be likely; reconstructed (`rec`) and generated (`fake`) ones, which are data here, unlikely.

    s (b_rec SSE + b_kl KL) of real images + 1/4 of the exponentials of both others + b_reverse times the reversed
    embedding; means over images.
    """
    bound = weights.rec * real.error.mean() + weights.kl * real.divergence.mean()
    loss = _scale(real.images) * bound + 0.25 * (exp_elbo(rec, weights).mean() + exp_elbo(fake, weights).mean())
    if weights.reverse:
        loss = loss + weights.reverse * reversed_embedding(real.encoded.maps, rec.encoded.maps)
    return loss


def decoder_loss(real: Round, rec: Round, fake: Round, weights: Weights) -> Loss:
    """What the decoder makes of latents is to be near its image and likely to the encoder.

    s [b_rec SSE of real images + b_kl/2 KL of both others + gamma b_rec/2 SSE of both others, which are data there];
    means over images.
    """
    likely = 0.5 * weights.kl * (rec.divergence.mean() + fake.divergence.mean())
    loss = weights.rec * real.error.mean() + likely
    if weights.gamma:
        loss = loss + weights.gamma * 0.5 * weights.rec * (_held(rec).error.mean() + _held(fake).error.mean())
    return _scale(real.images) * loss


def reversed_embedding(maps: Maps, others: Maps) -> Loss:
    """Sum over levels of 1 - cos(E(x), E(x_hat)), each map as one vector, + 1/2 of their mean squared difference.

    Mean over images. Gradients flow through both passes of the encoder.
    """
    return torch.stack([_apart(one, other) for one, other in zip(maps, others, strict=True)]).sum()


def _apart(one: Float[Tensor, "n c s s"], other: Float[Tensor, "n c s s"]) -> Loss:
    vectors = one.float().flatten(1), other.float().flatten(1)  # (n, c, s, s) -> (n, c*s*s)
    return (1 - F.cosine_similarity(*vectors)).mean() + 0.5 * F.mse_loss(*vectors)


def _held(generated: Round) -> Round:
    """The same, without a way back to who made the images."""
    return Round(generated.images.detach(), generated.encoded, generated.seen)


def _scale(images: Pixels) -> float:
    return 1 / images[0].numel()
