"""What variational autoencoders share: a posterior's two moments, drawing from it, and its divergence from the prior.

Source: Kingma and Welling, ICLR 2014, sec. 2.3, 2.4 and appendix B. Moments are float32 whatever the precision of the
network. Nothing is clamped: a log-variance above 88 overflows, and the training loop refuses the loss.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from uadbench.errors import ParameterError
from uadbench.torch_support.reconstructing import Draw

Latents = Float[Tensor, "n d"]
Moments = tuple[Latents, Latents]  # mean and log-variance
SAMPLINGS = ("mean", "sample")
CODED = 4  # pixels a side of the last feature map, which one convolution turns into the moments


def moments(outputs: Float[Tensor, "n k"]) -> Moments:
    """The mean and the log-variance that an encoder's outputs hold side by side."""
    mean, log_variance = outputs.float().chunk(2, dim=1)  # (n, 2d) -> (n, d), (n, d)
    return mean, log_variance


def sampled(mean: Latents, log_variance: Latents) -> Latents:
    """Latents drawn from the posterior: mean + sigma * noise, drawn on the CPU so that every device sees the same."""
    return mean + torch.exp(log_variance / 2) * torch.randn(mean.shape).to(mean.device, non_blocking=True)


def predicted(mean: Latents, log_variance: Latents, sampling: str, draw: Draw) -> Latents:
    """Latents to predict from: the posterior's mean, or drawn with each image's own stream ("sample")."""
    if sampling == "mean":
        return mean
    return mean + torch.exp(log_variance / 2) * draw(mean.shape[1])


def divergence(mean: Latents, log_variance: Latents) -> Float[Tensor, " n"]:
    """KL(N(mean, sigma^2) || N(0, 1)) = -1/2 sum(1 + log sigma^2 - mean^2 - sigma^2) per image, in nats, >= 0."""
    return -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1)


def halvings(size: int) -> int:
    """How often a side is halved until `CODED` pixels are left."""
    return (size // CODED).bit_length() - 1


def require_halved(name: str, size: int) -> None:
    """Refuses sides that cannot be halved down to `CODED`.

    Raises:
        ParameterError: Names the sides nearest to it.
    """
    below = max(2 * CODED, 1 << (size.bit_length() - 1) if size > 0 else 0)
    if size != below:
        raise ParameterError(
            f"{name}: size is {size}. The network halves it down to {CODED}: give {below} or {2 * below}."
        )
