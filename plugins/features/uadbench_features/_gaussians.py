"""One Gaussian per position: moments summed over images, covariances shrunk or not, and the Mahalanobis distance."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uadbench.errors import InvalidDataError

Embedding = Float[Tensor, "n p d"]
Matrices = Float[Tensor, "p d d"]
AT_ONCE = 256  # positions whose matrices are inverted together, in float64


@dataclass(slots=True)
class Moments:
    """Sums over the images seen so far, per position, of what mean, covariance and shrinkage need.

    Summed are differences y from `origin`, a rough mean: sums of features far from 0 would lose their digits. Memory
    does not grow with the images.
    """

    origin: Float[Tensor, "p d"]
    count: int
    first: Float[Tensor, "p d"]  # sum of y
    second: Matrices  # sum of y y'
    third: Float[Tensor, "p d"]  # sum of |y|^2 y
    fourth: Float[Tensor, " p"]  # sum of |y|^4

    @classmethod
    def around(cls, origin: Float[Tensor, "p d"]) -> "Moments":
        """Of no image yet."""
        p, d = origin.shape
        matrices = origin.new_zeros(p, d, d)
        return cls(origin, 0, torch.zeros_like(origin), matrices, torch.zeros_like(origin), origin.new_zeros(p))

    def add(self, features: Embedding) -> None:
        """See the images of these features as well."""
        away = (features - self.origin).transpose(0, 1)  # (n, p, d) -> (p, n, d)
        lengths = away.square().sum(2, keepdim=True)  # (p, n, 1)
        self.count += len(features)
        self.first += away.sum(1)
        self.second.baddbmm_(away.mT, away)
        self.third += (lengths * away).sum(1)
        self.fourth += lengths.square().sum((1, 2))

    @property
    def mean(self) -> Float[Tensor, "p d"]:
        """The mean over the images."""
        return self.origin + self.first / self.count

    @property
    def scatter(self) -> Matrices:
        """The mean of (x - mean)(x - mean)', the maximum-likelihood covariance."""
        mean = self.first / self.count
        return self.second / self.count - mean[:, :, None] * mean[:, None, :]

    @property
    def fourth_power(self) -> Float[Tensor, " p"]:
        """The mean of |x - mean|^4, from |y - m|^2 = |y|^2 - 2 m'y + |m|^2, squared and summed."""
        mean, n = (self.first / self.count).double(), self.count
        length = mean.square().sum(1)  # (p,)
        along = torch.einsum("pi,pij,pj->p", mean, self.second.double(), mean)
        trace = self.second.diagonal(dim1=1, dim2=2).double().sum(1)
        total = self.fourth + 4 * along - 4 * (mean * self.third).sum(1) + 2 * length * trace - 3 * n * length.square()
        return total / n


def empirical(moments: Moments, _shrinkage: float) -> Matrices:
    """The sample covariance, divided by n - 1. Source: Defard et al., ICPR workshops 2021, eq. 1, without its eps I."""
    return moments.scatter * (moments.count / (moments.count - 1))


def shrunk(moments: Moments, shrinkage: float) -> Matrices:
    """(1 - s) S + s tr(S)/d I of the maximum-likelihood S with a given s, as scikit-learn's ShrunkCovariance."""
    scatter = moments.scatter
    return _towards_sphere(scatter, scatter.new_full((len(scatter),), shrinkage))


def ledoit_wolf(moments: Moments, _shrinkage: float) -> Matrices:
    """Shrunk by s = min(b^2, d^2) / d^2, d^2 = |S - tr(S)/d I|^2 and b^2 = sum |xx' - S|^2 / n^2.

    Source: Ledoit and Wolf, J. Multivar. Anal. 2004, sec. 3.2; as scikit-learn's LedoitWolf.
    """
    scatter = moments.scatter
    squares, trace = _squares_and_trace(scatter)
    spread = squares - trace.square() / scatter.shape[-1]
    noise = ((moments.fourth_power - squares) / moments.count).clamp(min=0)
    return _towards_sphere(scatter, torch.where(spread > 0, torch.minimum(noise, spread) / spread, 0))


def oas(moments: Moments, _shrinkage: float) -> Matrices:
    """Shrunk by s = min(1, (tr(S^2) + tr(S)^2) / ((n + 1) (tr(S^2) - tr(S)^2/d))).

    Source: Chen et al., IEEE Trans. Signal Process. 2010, eq. 23. Deviates: without its terms in 2/d, as
    scikit-learn's OAS.
    """
    scatter = moments.scatter
    squares, trace = _squares_and_trace(scatter)
    spread = (moments.count + 1) * (squares - trace.square() / scatter.shape[-1])
    share = torch.where(spread > 0, (squares + trace.square()) / spread, 1)
    return _towards_sphere(scatter, share.clamp(max=1))


COVARIANCES: dict[str, Callable[[Moments, float], Matrices]] = {
    "empirical": empirical,
    "ledoit-wolf": ledoit_wolf,
    "oas": oas,
    "shrunk": shrunk,
}


def whitening(covariances: Matrices, regularisation: float, images: int) -> Matrices:
    """W with W W' = C^-1 for every covariance C + `regularisation` I, so that |y' W|^2 = y' C^-1 y.

    W is the inverse of C's Cholesky factor, transposed.

    Raises:
        InvalidDataError: Singular ones; tells how many of the positions and what to change.
    """
    dimensions = covariances.shape[-1]
    found, singular = torch.empty_like(covariances), 0
    for part, place in zip(covariances.split(AT_ONCE), found.split(AT_ONCE), strict=True):
        regular = part.double()
        regular.diagonal(dim1=1, dim2=2).add_(regularisation)
        factor, failed = torch.linalg.cholesky_ex(regular)
        # a pivot over its variance is the share that the dimensions before do not explain; sums were in float32
        free = factor.diagonal(dim1=1, dim2=2).square() / regular.diagonal(dim1=1, dim2=2)
        rounding = dimensions * torch.finfo(torch.float32).eps
        flat = (failed > 0) | ~(free.amin(1) > rounding)  # (p,); not a number counts as flat
        singular += int(flat.sum())
        identity = torch.eye(dimensions, dtype=factor.dtype, device=factor.device).expand_as(factor)
        if not singular:
            place.copy_(torch.linalg.solve_triangular(factor, identity, upper=False).mT)
    if singular:
        raise InvalidDataError(
            f"PaDiM: the covariance is singular at {singular} of {len(covariances)} positions ({images} training "
            f"images, {dimensions} dimensions). Give more images, fewer `dimensions`, or a `regularisation` above 0."
        )
    return found


class Gaussians(nn.Module):
    """A Gaussian of `dimensions` chosen channels at each of `positions`, row by row of the grid."""

    chosen: Int[Tensor, " d"]
    mean: Float[Tensor, "p d"]
    whitening: Matrices

    def __init__(self, positions: int, dimensions: int) -> None:
        super().__init__()
        self.register_buffer("chosen", torch.arange(dimensions))
        self.register_buffer("mean", torch.zeros(positions, dimensions))
        self.register_buffer("whitening", torch.zeros(positions, dimensions, dimensions))

    def forward(self, features: Float[Tensor, "p d"]) -> Float[Tensor, " p"]:
        """The Mahalanobis distance of one image's features at every position."""
        away = (features - self.mean).unsqueeze(1)  # (p, 1, d); a row times a matrix is the fast order
        return torch.linalg.vector_norm(torch.bmm(away, self.whitening), dim=(1, 2))


def _squares_and_trace(scatter: Matrices) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
    """tr(S^2), the sum of squares of a symmetric matrix, and tr(S); in float64, since they are subtracted."""
    flat = scatter.flatten(1)
    return torch.linalg.vecdot(flat, flat).double(), scatter.diagonal(dim1=1, dim2=2).double().sum(1)


def _towards_sphere(scatter: Matrices, share: Float[Tensor, " p"]) -> Matrices:
    """(1 - s) S + s tr(S)/d I."""
    variance = scatter.diagonal(dim1=1, dim2=2).mean(1)  # (p,)
    share = share.to(scatter.dtype)
    moved = (1 - share)[:, None, None] * scatter
    moved.diagonal(dim1=1, dim2=2).add_((share * variance)[:, None])
    return moved
