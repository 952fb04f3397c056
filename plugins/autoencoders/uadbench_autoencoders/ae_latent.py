"""AE[d]: an autoencoder whose latent is too small for anything but healthy anatomy.

Source: Cai et al., MICCAI 2024 ("Rethinking autoencoders"), sec. 3 and appendix B: network, squared error, 64 px.
Deviates: the map is enlarged to the image's size; the layer into the latent is linear, as in the authors' experiments
(their text puts batch normalisation after it).
"""

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from uadbench import FitContext, Images, ImageSource, Prediction
from uadbench.torch_support import training
from uadbench.torch_support.determinism import deterministic
from uadbench.torch_support.tensors import read
from uadbench.torch_support.training import Schedule, gradient_step
from uadbench_autoencoders._residual import predict_residual, squared, to_grid

SIZE = 64
WIDTHS = (16, 32, 64, 64)
HIDDEN = 1024


class Network(nn.Module):
    """Four convolutions down to 64 x 4 x 4, two linear layers to the latent, and back; linear output."""

    def __init__(self, channels: int, latent: int) -> None:
        super().__init__()
        down, up = (channels, *WIDTHS), (*reversed(WIDTHS), channels)
        flat = WIDTHS[-1] * (SIZE // 16) ** 2
        self.encoder = nn.Sequential(
            *(_down(a, b) for a, b in pairwise(down)),
            nn.Flatten(),  # (n, 64, 4, 4) -> (n, 1024)
            *(nn.Linear(flat, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU()),
            nn.Linear(HIDDEN, latent),
        )
        self.decoder = nn.Sequential(
            *(nn.Linear(latent, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU()),
            nn.Linear(HIDDEN, flat),
            nn.Unflatten(1, (WIDTHS[-1], SIZE // 16, SIZE // 16)),  # (n, 1024) -> (n, 64, 4, 4)
            *(_up(a, b) for a, b in pairwise(up[:-1])),
            nn.ConvTranspose2d(up[-2], channels, 4, stride=2, padding=1, bias=False),
        )

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Reconstructions of images in [-1, 1]."""
        reconstructions: Tensor = self.decoder(self.encoder(images))
        return reconstructions


def _down(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inner, outer, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(outer), nn.ReLU())


def _up(inner: int, outer: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outer), nn.ReLU())


@dataclass(frozen=True)
class LatentAutoencoder:
    """AE[d]: `latent` is d; `lr` is Adam's; the last epoch is kept."""

    latent: int = 16
    epochs: int = 250
    batch: int = 64
    lr: float = 1e-3

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise ValueError(f"latent is {self.latent}. Give at least 1 number to describe an image by.")
        if not self.lr > 0:
            raise ValueError(f"lr is {self.lr}. Give a learning rate above 0, such as 0.001.")
        Schedule(self.epochs, self.batch)

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> "LatentDetector":
        """Least squared error on [-1, 1] at 64 px."""
        with deterministic(context.seed, context.device):
            network = Network(train.shape[0], self.latent).to(context.device)
            optimiser = torch.optim.Adam(network.parameters(), self.lr)
            step = gradient_step(lambda batch: F.mse_loss(network(batch), batch), optimiser, context)
            images = read(train, lambda image: to_grid(image, SIZE))  # (n, c, h, w) -> (n, c, 64, 64)
            training.train(network, step, images, Schedule(self.epochs, self.batch), context)
        return LatentDetector(network, Shape(train.shape[0], self.latent), context.device)

    @classmethod
    def load(cls, folder: Path, device: str) -> "LatentDetector":
        """The detector that `save` wrote."""
        shape = Shape(**json.loads((folder / "shape.json").read_text()))
        network = Network(shape.channels, shape.latent)
        network.load_state_dict(torch.load(folder / "network.pt", map_location="cpu", weights_only=True))
        return LatentDetector(network.to(device).eval(), shape, device)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a network must be built with before its weights fit."""

    channels: int
    latent: int


@dataclass(frozen=True, slots=True)
class LatentDetector:
    """A trained AE[d]. Map (x - x_hat)^2 on [-1, 1]; score its mean over pixels."""

    network: Network
    shape: Shape
    device: str

    def predict(self, images: Images) -> Prediction:
        """Maps, scores and reconstructions in [0, 1], all at the images' size."""
        return predict_residual(self.network, images, SIZE, squared, self.device)

    def save(self, folder: Path) -> None:
        """Writes the network's weights and shape."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "shape.json").write_text(json.dumps(asdict(self.shape)))
        torch.save(self.network.state_dict(), folder / "network.pt")
