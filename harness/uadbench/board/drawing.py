"""Drawing: an image, its anomaly map as a coloured veil, and the truth as outline, as PNG."""

import io

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

Pixels = Float[np.ndarray, "c h w"]
Colours = UInt8[np.ndarray, "h w 3"]

# Inferno (Smith and van der Walt, 2015) at even steps: perceptually uniform, dark to bright.
INFERNO = np.array(
    [[0, 0, 4], [27, 12, 65], [74, 12, 107], [120, 28, 109], [165, 44, 96],
     [207, 68, 70], [237, 105, 37], [251, 155, 6], [247, 209, 61], [252, 255, 164]],
    np.float64,
)  # fmt: skip
OUTLINE = np.array([64, 224, 208], np.uint8)
_PALETTES = (256, 96, 48, 24)
_SHRINKING = 0.8


def pair(image: Pixels, anomaly_map: Float[np.ndarray, "h w"], low: float, high: float) -> bytes:
    """PNG of the image beside itself under its map, each enlarged by a whole number to at most 512 pixels a side.

    Of the map `low` and below is clear, `high` and above brightest.
    """
    both = np.concatenate([grey(image), veiled(image, anomaly_map, low, high)], axis=1)  # 2 x (h, w, 3) -> (h, 2w, 3)
    times = max(1, 512 // max(anomaly_map.shape))
    return png(Image.fromarray(both.repeat(times, axis=0).repeat(times, axis=1)))


def grey(image: Pixels) -> Colours:
    """The image in [0, 1] as RGB; one channel is repeated, of more than three the first is shown."""
    shown = image if len(image) == 3 else np.repeat(image[:1], 3, axis=0)
    return np.asarray(np.round(255 * np.clip(shown, 0, 1)), np.uint8).transpose(1, 2, 0)


def coloured(shares: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Inferno colours in [0, 255] of shares in [0, 1]."""
    steps = np.linspace(0, 1, len(INFERNO))
    return np.stack([np.interp(shares, steps, INFERNO[:, channel]) for channel in range(3)], axis=-1)


def veiled(image: Pixels, anomaly_map: Float[np.ndarray, "h w"], low: float, high: float) -> Colours:
    """The image in RGB under the map's colours, which grow denser with the map."""
    width = high - low
    shares = np.clip((np.asarray(anomaly_map, np.float64) - low) / (width if width > 0 else 1.0), 0, 1)
    density = 0.9 * np.sqrt(shares)[..., None]
    return np.asarray(np.round((1 - density) * grey(image) + density * coloured(shares)), np.uint8)


def outlined(image: Pixels, mask: Bool[np.ndarray, "h w"], boxes: Float[np.ndarray, "b 4"]) -> Colours:
    """The image in RGB with the pixels just outside the mask coloured, or without one the boxes' (x, y, w, h) edges."""
    drawn = grey(image).copy()
    drawn[rim(mask) if mask.any() else edges(boxes, mask.shape)] = OUTLINE
    return drawn


def edges(boxes: Float[np.ndarray, "b 4"], shape: tuple[int, ...]) -> Bool[np.ndarray, "h w"]:
    """Pixels on the edges of boxes (x, y, w, h), in an image of this height and width."""
    height, width = shape
    marked = np.zeros(shape, bool)
    for x, y, w, h in np.asarray(boxes, np.float64).reshape(-1, 4):
        left, top = max(int(np.floor(x)), 0), max(int(np.floor(y)), 0)
        right, bottom = min(int(np.ceil(x + w)), width) - 1, min(int(np.ceil(y + h)), height) - 1
        marked[[top, bottom], left : right + 1] = True
        marked[top : bottom + 1, [left, right]] = True
    return marked


def rim(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Pixels outside the mask that touch it on a side."""
    padded = np.pad(mask, 1)
    near = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return near & ~mask


def small_png(picture: Colours, most_bytes: int, longest: int = 192) -> bytes:
    """PNG of at most `most_bytes`: fewer colours first, then fewer pixels."""
    image = Image.fromarray(picture)
    image.thumbnail((longest, longest), Image.Resampling.BOX)
    while True:
        for colours in _PALETTES:
            data = png(image.quantize(colours, dither=Image.Dither.NONE))
            if len(data) <= most_bytes:
                return data
        size = max(1, int(image.width * _SHRINKING)), max(1, int(image.height * _SHRINKING))
        image = image.resize(size, Image.Resampling.BOX)


def png(image: Image.Image) -> bytes:
    """The image as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
