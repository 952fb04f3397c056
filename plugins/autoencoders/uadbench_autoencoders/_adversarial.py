"""The four networks of an adversarial autoencoder: encoder, generator, and what judges images and latents.

Source: Pidhorskyi et al., NeurIPS 2018 (GPND), for 32 px; widened to 128 px as in Bercea et al., MICCAI 2023
(MorphAEus, comparison). A grid of half the side has one layer less in the encoder, generator and discriminator.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

BOTTOM = 4  # the side of the map that one convolution turns into a latent
SIZES = (32, 64, 128, 256)
SLOPE = 0.2
SPREAD = 0.02  # standard deviation of a weight at the start
HIDDEN = 128

Codes = Float[Tensor, "n z"]
Pixels = Float[Tensor, "n c s s"]
Logits = Float[Tensor, " n"]


class AdversarialNetworks(nn.Module):
    """All four in one module, so that they are kept, restored and saved together."""

    def __init__(self, channels: int, latent: int, size: int, width: int) -> None:
        super().__init__()
        halvings = (size // BOTTOM).bit_length() - 1
        same = halvings - 2
        self.latent = latent
        self.encoder = _narrowing([channels, *[width] * same, 4 * width, 4 * width, latent])
        self.generator = _widening([latent, 4 * width, 4 * width, *[2 * width] * same, channels])
        self.discriminator = _narrowing([channels, *[width] * same, 2 * width, 4 * width, 1])
        self.latent_discriminator = nn.Sequential(
            *(nn.Linear(latent, HIDDEN), nn.LeakyReLU(SLOPE)),
            *(nn.Linear(HIDDEN, HIDDEN), nn.LeakyReLU(SLOPE)),
            nn.Linear(HIDDEN, 1),
        )

    def start(self, *, latent_only: bool) -> None:
        """Draws weights from N(0, 0.02), biases 0; `latent_only` does so for one network and leaves the others."""
        for layer in (self.latent_discriminator if latent_only else self).modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.normal_(layer.weight, 0.0, SPREAD)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def prior(self, count: int) -> Codes:
        """Latents from N(0, I), drawn on the CPU so that every device sees the same."""
        return torch.randn(count, self.latent).to(next(self.parameters()).device, non_blocking=True)

    def encode(self, images: Pixels) -> Codes:
        """Latents of images in [0, 1]."""
        codes: Tensor = self.encoder(images).flatten(1)  # (n, z, 1, 1) -> (n, z)
        return codes

    def image_logits(self, codes: Codes) -> Pixels:
        """The images of latents before the sigmoid: (tanh(a) + 1) / 2 is sigmoid(2 a)."""
        activations: Tensor = self.generator(codes[:, :, None, None])
        return 2 * activations

    def generate(self, codes: Codes) -> Pixels:
        """Images in [0, 1] of latents."""
        return torch.sigmoid(self.image_logits(codes))

    def judge(self, images: Pixels) -> Logits:
        """Log-odds that images are real."""
        odds: Tensor = self.discriminator(images).flatten()
        return odds

    def judge_latent(self, codes: Codes) -> Logits:
        """Log-odds that latents were drawn from the prior."""
        odds: Tensor = self.latent_discriminator(codes).flatten()
        return odds


def _narrowing(widths: list[int]) -> nn.Sequential:
    """Convolutions that halve the side, normalised but for the first; the last takes the map that is left."""
    layers: list[nn.Module] = []
    for place, (inner, outer) in enumerate(pairwise(widths[:-1])):
        layers.append(nn.Conv2d(inner, outer, 4, stride=2, padding=1))
        layers.extend([nn.BatchNorm2d(outer)] if place else [])
        layers.append(nn.LeakyReLU(SLOPE))
    return nn.Sequential(*layers, nn.Conv2d(widths[-2], widths[-1], BOTTOM))


def _widening(widths: list[int]) -> nn.Sequential:
    """Transposed convolutions: the first makes a map of a latent, the others double the side; linear output."""
    layers: list[nn.Module] = []
    for place, (inner, outer) in enumerate(pairwise(widths[:-1])):
        stride, padding = (2, 1) if place else (1, 0)
        layers.append(nn.ConvTranspose2d(inner, outer, 4, stride=stride, padding=padding))
        layers.extend([nn.BatchNorm2d(outer), nn.ReLU()])
    return nn.Sequential(*layers, nn.ConvTranspose2d(widths[-2], widths[-1], 4, stride=2, padding=1))
