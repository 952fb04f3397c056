"""Equalising and smoothing whole batches: CLAHE and the Gaussian filter, every image as if it were alone.

Source: Pizer et al., CVGIP 1987 (tiles, curves between their centres); Zuiderveld, Graphics Gems IV, 1994 (clipping).
The definition is that of scikit-image's `equalize_adapthist` on float32, to the last bit: what the papers leave open
(roundings, the order of dealing out, the border) was settled by giving it images.
Deviates: an image whose pixels all round to one of 65536 levels comes back as it is, not as ones.

All kernels are deterministic, on a GPU too: `bincount` without weights and sums of whole numbers are exact in any
order, `unique` sorts, and the rest picks or computes element by element. No float is summed across pixels, so that a
batch cannot change the last bit of an image. Masks are whole numbers from clamping: choosing by a bool costs more
than all of the arithmetic.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uadbench.errors import InvalidDataError, ParameterError

FINE_LEVELS, LEVELS = 2**16, 2**14  # of an image before its range is stretched, and after
TILES = 8  # a side, when no kernel is given
TRUNCATE = 4  # sigmas

Planes = Float[Tensor, "m h w"]  # every channel of every image by itself


def equalise_adaptively(
    images: Float[Tensor, "n c h w"], clip_limit: float = 0.01, kernel: int | None = None, bins: int = 256
) -> Float[Tensor, "n c h w"]:
    """CLAHE of each channel of each image: float32 in [0, 1]; a constant channel comes back as it is.

    Tiles of `kernel` pixels a side (None = 1/8 of height and width) have a histogram each. What a bin has above
    `clip_limit`, a share of the tile's pixels, is dealt out to the other bins; 0 and 1 clip nothing. The cumulative
    histogram is a curve from old to new levels, and a pixel's new level lies between the curves of four tiles.

    Raises:
        InvalidDataError: A value outside [0, 1].
        ParameterError: A limit outside [0, 1], a kernel below 1 pixel, or bins outside 2 to 16384.
    """
    _require_limits(clip_limit, kernel, bins)
    h, w = images.shape[-2:]
    tiling = _Tiling(kernel or max(h // TILES, 1), kernel or max(w // TILES, 1), h, w, bins)
    planes = images.detach().float().reshape(-1, h, w)  # (n, c, h, w) -> (m, h, w), m = n * c
    codes, constant = _codes(planes, tiling)
    equal = _stretched(_between(codes, _curves(codes, tiling, clip_limit), tiling))
    equal[constant] = planes[constant]
    return equal.view(images.shape)


def smoothed(maps: Float[Tensor, "n c h w"], sigma: float) -> Float[Tensor, "n c h w"]:
    """Each channel of each map under a Gaussian of `sigma` pixels, cut off at 4 sigma, mirrored at the border.

    The definition is that of scipy's `gaussian_filter`, over height and width alone.

    Raises:
        ParameterError: A sigma that is not above 0.
    """
    if not 0 < sigma < math.inf:
        raise ParameterError(f"smoothed: sigma is {sigma}. Give a width above 0, in pixels.")
    distances = torch.arange(int(TRUNCATE * sigma + 0.5) + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (distances / sigma) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    return _along(_along(maps, weights.tolist(), -2), weights.tolist(), -1)


@dataclass(frozen=True, slots=True)
class _Tiling:
    """Tiles of `high` x `wide` pixels over an image of `h` x `w`, with a curve of `bins` levels each."""

    high: int
    wide: int
    h: int
    w: int
    bins: int

    @property
    def counted(self) -> tuple[int, int]:
        """Tiles down and across; the last of each may reach beyond the image."""
        return math.ceil(self.h / self.high), math.ceil(self.w / self.wide)

    @property
    def size(self) -> int:
        """Levels of all curves of an image."""
        return math.prod(self.counted) * self.bins

    @property
    def pixels(self) -> int:
        """Pixels of a tile."""
        return self.high * self.wide

    @property
    def precision(self) -> torch.dtype:
        """float32 where it gives what float64 gives, which takes longer: on tiles whose sides are powers of two.

        Weights are exact there, and up to 16384 pixels no rounded level reaches the whole number above it.
        """
        powers_of_two = all(side & (side - 1) == 0 for side in (self.high, self.wide))
        return torch.float32 if powers_of_two and self.pixels <= LEVELS else torch.float64


def _codes(planes: Planes, tiling: _Tiling) -> tuple[Int[Tensor, "m h w"], Int[Tensor, " k"]]:
    """The bin of every pixel after each image's range is stretched; and the numbers of images of a single level.

    A bin is counted from the first of the image's first tile, the tiles of all images being in one row.
    """
    ends = planes.amin((1, 2), keepdim=True), planes.amax((1, 2), keepdim=True)
    _require_unit(*ends)
    low, high = ((end * (FINE_LEVELS - 1)).round() for end in ends)
    fine = (planes * (FINE_LEVELS - 1)).round_().sub_(low).double()
    levels = fine.div_((high - low).clamp(min=1).double()).mul_(LEVELS - 1).round_()
    size = len(planes) * tiling.size
    kind = torch.int32 if size < 2**31 else torch.int64
    first = torch.arange(0, size, tiling.size, dtype=kind, device=planes.device)
    codes = _divide(levels.float(), 1 + LEVELS // tiling.bins).to(kind)  # whole numbers: the fraction is cut off
    return codes.add_(first[:, None, None]), (low == high).flatten().nonzero().flatten()


def _curves(codes: Int[Tensor, "m h w"], tiling: _Tiling, clip_limit: float) -> Float[Tensor, " k"]:
    """The new level of every bin of every tile of every image, k = m * tiles * bins."""
    down, across = tiling.counted
    rows = torch.arange(down * tiling.high, device=codes.device)
    columns = torch.arange(across * tiling.wide, device=codes.device)
    tile = (rows // tiling.high * across)[:, None] + columns // tiling.wide
    if tile.shape != codes.shape[1:]:  # (m, h, w) -> (m, rows, columns)
        codes = codes.index_select(1, _mirrored(rows, tiling.h, twice=False))
        codes = codes.index_select(2, _mirrored(columns, tiling.w, twice=False))
    tile = (tile * tiling.bins).to(codes.dtype)
    counts = torch.bincount((codes + tile).flatten(), minlength=len(codes) * tiling.size).int()
    most = max(1, int((clip_limit or 1) * tiling.pixels))
    clipped = _clipped(counts.view(-1, tiling.bins), most, tiling.pixels)  # (k,) -> (t, b), t = m * tiles
    shares = clipped.cumsum(1, dtype=torch.int32).to(tiling.precision)
    # The quotient comes first, as in scikit-image: rounded, it ends the curves of some tiles one level short.
    return shares.mul_((LEVELS - 1) / tiling.pixels).floor_().clamp_(max=LEVELS - 1).flatten()


def _clipped(counts: Int[Tensor, "t b"], most: int, pixels: int) -> Int[Tensor, "t b"]:
    """Histograms of `pixels` each, clipped to `most`. What lay above is dealt out: to each bin alike, then singly."""
    bins, counts = counts.shape[1], counts.clamp_(max=most)
    if pixels > bins:  # else no tile has something for each bin
        share = (pixels - counts.sum(1, dtype=torch.int32, keepdim=True)) // bins
        counts += share
        full = (counts + (share - most + 1)).clamp_(0, 1)  # 1 where a second share would not fit, else 0
        counts += full.mul_(most - counts)
    _deal(counts, most, pixels - counts.sum(1, dtype=torch.int32))
    return counts


def _deal(counts: Int[Tensor, "t b"], most: int, left: Int[Tensor, " t"]) -> None:
    """Deals out what is left: in round r, one to each of the bins r, r + step, r + 2 step, ... that has room.

    The step is the one that would use up all if the bins with room lay evenly; few tiles need a third round.
    """
    bins, first = counts.shape[1], 0
    places = torch.arange(bins, dtype=torch.int32, device=counts.device)
    tiles = (left > 0).nonzero().flatten()
    while len(tiles):
        apart = len(tiles) < len(counts)
        some, rest = (counts.index_select(0, tiles), left.index_select(0, tiles)) if apart else (counts, left)
        room = (most - some).clamp_(max=1)  # 1 or 0
        choice = room.sum(1, dtype=torch.int32)
        steps, which = torch.unique((choice // rest).clamp_(min=1), return_inverse=True)
        turns = (places[: bins - first] % steps[:, None] == 0).int()  # one row per step
        given = room[:, first:].mul_(turns.index_select(0, which))
        some[:, first:] += given
        rest -= given.sum(1, dtype=torch.int32)
        if apart:
            counts.index_copy_(0, tiles, some)
            left.index_copy_(0, tiles, rest)
        tiles = tiles[(rest > 0) & (choice > 0)]
        first = (first + 1) % bins


def _between(codes: Int[Tensor, "m h w"], curves: Float[Tensor, " k"], tiling: _Tiling) -> Planes:
    """The new level of every pixel: bilinear between the curves of the four tiles around it. Uses `codes` up."""
    levels = torch.zeros(codes.shape, device=codes.device)
    corners, weights = _corners(tiling, codes.device)
    steps = corners.to(codes.dtype).diff(dim=0, prepend=torch.zeros_like(codes[:1]))
    for step, weight in zip(steps, weights.to(curves.dtype), strict=True):
        codes += step  # from one corner to the next; asking for memory would take longer than the sum
        levels += curves.index_select(0, codes.flatten()).view(codes.shape).mul_(weight).float()
    return levels.floor_()


def _corners(tiling: _Tiling, device: torch.device) -> tuple[Int[Tensor, "4 h w"], Float[Tensor, "4 h w"]]:
    """How far the four curves of every pixel lie behind that of the first tile, and what each weighs."""
    down, across = tiling.counted
    rows, upright = _neighbours(tiling.h, tiling.high, down, device)
    columns, level = _neighbours(tiling.w, tiling.wide, across, device)
    behind = ((rows * across)[:, None, :, None] + columns[:, None]) * tiling.bins  # (2, h), (2, w) -> (2, 2, h, w)
    return behind.flatten(0, 1), (upright[:, None, :, None] * level[:, None]).flatten(0, 1)


def _neighbours(
    size: int, side: int, tiles: int, device: torch.device
) -> tuple[Int[Tensor, "2 p"], Float[Tensor, "2 p"]]:
    """For every place along an axis the tile whose centre lies before it and the one after it, and their weights."""
    places = torch.arange(size, device=device) + side // 2
    part, before = _divide((places % side).double(), side), places // side - 1
    return torch.stack([before, before + 1]).clamp_(0, tiles - 1), torch.stack([1 - part, part])


def _stretched(levels: Planes) -> Planes:
    """Levels stretched to [0, 1]; where all are equal, 1 (level 0 stays 0)."""
    low, high = levels.amin((1, 2), keepdim=True), levels.amax((1, 2), keepdim=True)
    span = high - low
    return levels.sub_(low * (span > 0)).div_(span.clamp(min=1)).clamp_(max=1)


def _divide(values: Tensor, by: int) -> Tensor:
    """The values divided in place. By a tensor: CUDA multiplies with the rounded reciprocal of a plain number."""
    return values.div_(values.new_tensor(by))


def _along(maps: Float[Tensor, "n c h w"], weights: list[float], axis: int) -> Float[Tensor, "n c h w"]:
    """Weighted sum of neighbours along an axis. Product and sum are apart: fused, the last bit depends on the place."""
    size, reach = maps.shape[axis], len(weights) - 1
    places = torch.arange(-reach, size + reach, device=maps.device)
    padded = maps.index_select(axis, _mirrored(places, size, twice=True))
    total = maps * weights[0]
    for distance, weight in enumerate(weights[1:], 1):
        pair = padded.narrow(axis, reach - distance, size) + padded.narrow(axis, reach + distance, size)
        total += pair.mul_(weight)
    return total


def _mirrored(places: Int[Tensor, " p"], size: int, *, twice: bool) -> Int[Tensor, " p"]:
    """Places beyond an axis folded back into it, as often as it takes; `twice`: the border pixel is met twice."""
    period = 2 * size if twice else max(2 * size - 2, 1)
    inside = places % period
    return torch.minimum(inside, period - int(twice) - inside)


def _require_unit(lows: Float[Tensor, "m 1 1"], highs: Float[Tensor, "m 1 1"]) -> None:
    low, high = lows.min().item(), highs.max().item()
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise InvalidDataError(f"equalise_adaptively: values go from {low:g} to {high:g}. Bring them into [0, 1].")


def _require_limits(clip_limit: float, kernel: int | None, bins: int) -> None:
    if not 0 <= clip_limit <= 1:
        raise ParameterError(f"equalise_adaptively: clip_limit is {clip_limit}. Give a share of the pixels, 0 to 1.")
    if kernel is not None and kernel < 1:
        raise ParameterError(f"equalise_adaptively: kernel is {kernel}. Give a side of at least 1 pixel.")
    if not 2 <= bins <= LEVELS:
        raise ParameterError(f"equalise_adaptively: bins is {bins}. Give 2 to {LEVELS}.")
