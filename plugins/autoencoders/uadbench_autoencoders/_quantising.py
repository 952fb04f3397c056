"""The networks of VQ-VAE-2: two levels of latents, each of which may hold the vectors of a codebook alone.

Source: Razavi et al., NeurIPS 2019, sec. 3.1 and appendix A (two levels); van den Oord et al., NeurIPS 2017, appendix
A.1 (codebooks by moving averages). The layers are those that Meissen et al., MIDL 2022, compare.
MONAI's EMAQuantizer computes the same update, but importing it costs seconds in every process, its codebook is a
parameter, and in bfloat16 on a CPU it would not find the nearest code in float32.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

REDUCTION = 8  # the side of the image in sides of the top latent
BLOCKS = 2
EPSILON = 1e-5  # keeps the count of an unused code above 0

Latent = Float[Tensor, "n d h w"]
Vectors = Float[Tensor, "p d"]  # a latent's, one per place
Choice = Int[Tensor, " p"]
Commitment = Float[Tensor, ""]


class Codebook(nn.Module):
    """`codes` vectors, each of which follows the mean of the latents that it is nearest to.

    Buffers, no parameters: `vectors` (k, d), and the moving averages `counts` (k) and `sums` (k, d) whose ratio they
    are from the start, so that a code that no latent has chosen yet keeps its place.
    """

    vectors: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, codes: int, embedding: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        bound = math.sqrt(3 / embedding)  # mean squared length 1
        self.register_buffer("vectors", torch.empty(codes, embedding).uniform_(-bound, bound))
        self.register_buffer("counts", torch.ones(codes))
        self.register_buffer("sums", self.vectors.clone())

    def forward(self, latents: Latent) -> tuple[Latent, Commitment]:
        """The nearest codes, through which gradients pass unchanged, and the mean squared distance to them.

        In float32 whatever the precision. In train mode the codes follow the latents afterwards.
        """
        with torch.autocast(latents.device.type, enabled=False):
            latents = latents.float()
            placed = latents.detach().movedim(1, -1)  # (n, d, h, w) -> (n, h, w, d)
            vectors = placed.flatten(0, 2)  # (n, h, w, d) -> (n*h*w, d)
            chosen = self.nearest(vectors)
            quantised = self.vectors[chosen].view_as(placed).movedim(-1, 1)  # (n*h*w, d) -> (n, d, h, w)
            if self.training:
                self.follow(vectors, chosen)
            return quantised + (latents - latents.detach()), F.mse_loss(latents, quantised)

    def nearest(self, vectors: Vectors) -> Choice:
        """Which code is nearest to each vector."""
        lengths = self.vectors.square().sum(1)
        # |v - e|^2 without |v|^2, which is the same for all codes
        return torch.addmm(lengths, vectors, self.vectors.T, alpha=-2).argmin(1)  # (p, d) -> (p, k) -> (p)

    def follow(self, vectors: Vectors, chosen: Choice) -> None:
        """Count N <- decay N + (1 - decay) n, sum m <- decay m + (1 - decay) s, code e <- m / N.

        n and s are how many vectors chose the code and their sum. N is smoothed (Laplace) before it divides.
        """
        found = torch.zeros_like(self.counts).index_add_(0, chosen, torch.ones_like(vectors[:, 0]))
        summed = torch.zeros_like(self.sums).index_add_(0, chosen, vectors)
        self.counts.lerp_(found, 1 - self.decay)
        self.sums.lerp_(summed, 1 - self.decay)
        total = self.counts.sum()
        smoothed = (self.counts + EPSILON) / (total + len(self.counts) * EPSILON) * total
        self.vectors.copy_(self.sums / smoothed[:, None])


class ResidualBlock(nn.Module):
    """x + a 1 x 1 convolution of a 3 x 3 convolution of `inner` channels, rectified before each."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.change = nn.Sequential(nn.ReLU(), _same(width, inner), nn.ReLU(), nn.Conv2d(inner, width, 1))

    def forward(self, features: Latent) -> Latent:
        """Features of the same shape."""
        changed: Tensor = features + self.change(features)
        return changed


class TwoLevelNetwork(nn.Module):
    """Images to a bottom latent of 1/4 of the side and a top latent of 1/8, and back; linear output.

    The top latent is quantised first, and the bottom one knows it.
    """

    def __init__(
        self, channels: int, width: int, residual_width: int, embedding: int, codes: int, decay: float
    ) -> None:
        super().__init__()
        half, refined = width // 2, (width, residual_width)
        self.encoder_bottom = nn.Sequential(
            *(_down(channels, half), nn.ReLU(), _down(half, width), nn.ReLU()),
            *(_same(width, width), *_refining(*refined)),
        )
        self.encoder_top = nn.Sequential(_down(width, half), nn.ReLU(), _same(half, width), *_refining(*refined))
        self.into_top = nn.Conv2d(width, embedding, 1)
        self.top = Codebook(codes, embedding, decay)
        self.decoder_top = nn.Sequential(_same(embedding, width), *_refining(*refined), _up(width, embedding))
        self.into_bottom = nn.Conv2d(embedding + width, embedding, 1)
        self.bottom = Codebook(codes, embedding, decay)
        self.enlarge = _up(embedding, embedding)
        self.decoder = nn.Sequential(
            *(_same(2 * embedding, width), *_refining(*refined)),
            *(_up(width, half), nn.ReLU(), _up(half, channels)),
        )

    def encode(self, images: Float[Tensor, "n c s s"]) -> tuple[Latent, Latent, Commitment]:
        """The quantised bottom and top latents, and the commitment summed over both."""
        below = self.encoder_bottom(images)  # (n, c, s, s) -> (n, width, s/4, s/4)
        top, to_top = self.top(self.into_top(self.encoder_top(below)))  # (n, d, s/8, s/8)
        joined = torch.cat([self.decoder_top(top), below], dim=1)  # (n, d + width, s/4, s/4)
        bottom, to_bottom = self.bottom(self.into_bottom(joined))  # (n, d, s/4, s/4)
        return bottom, top, to_bottom + to_top

    def decode(self, bottom: Latent, top: Latent) -> Float[Tensor, "n c s s"]:
        """Images of quantised latents; not bounded to [0, 1]."""
        images: Tensor = self.decoder(torch.cat([self.enlarge(top), bottom], dim=1))
        return images

    def forward(self, images: Float[Tensor, "n c s s"]) -> tuple[Float[Tensor, "n c s s"], Commitment]:
        """The reconstruction and the commitment."""
        bottom, top, commitment = self.encode(images)
        return self.decode(bottom, top), commitment


def _refining(width: int, inner: int) -> tuple[nn.Module, ...]:
    return *(ResidualBlock(width, inner) for _ in range(BLOCKS)), nn.ReLU()


def _same(inner: int, outer: int) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, 3, padding=1)


def _down(inner: int, outer: int) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, 4, stride=2, padding=1)


def _up(inner: int, outer: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1)
