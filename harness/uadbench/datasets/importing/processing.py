"""From an item to its image, mask, boxes and foreground, all in one geometry, all checked."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt

from uadbench.datasets.importing.foregrounds import foreground
from uadbench.datasets.importing.geometry import Geometry
from uadbench.datasets.importing.items import Box, Item
from uadbench.datasets.importing.reading import Picture, read_mask, read_picture, volume_percentile
from uadbench.datasets.importing.recipe import Recipe
from uadbench.errors import InvalidDataError, UsageError

# Boxes in a table are often scaled and printed; this much of a pixel outside is the printing.
ROUNDING = 0.01


@dataclass(frozen=True, slots=True)
class Processed:
    """An image of a dataset. `clipped` of `stored` pixels were outside [0, 1]; `padded` and `resized` say what was
    done; mm between rows, columns and slices are those of the stored picture."""

    pixels: UInt[np.ndarray, "h w"]
    foreground: Bool[np.ndarray, "h w"]
    mask: Bool[np.ndarray, "h w"] | None
    boxes: Float32[np.ndarray, "b 4"]
    ignored: Float32[np.ndarray, "i 4"]
    clipped: int
    stored: int
    padded: bool
    resized: bool
    spacing_mm: tuple[float, float, float]


def process(item: Item, recipe: Recipe) -> Processed:
    """The image of one item.

    Raises:
        UsageError: A picture that is not square, and no size to bring it to.
        InvalidDataError: A picture or mask that is missing or unreadable, a mask of another size or that contradicts
            the label, a box outside, a divisor that divides nothing, or an empty foreground.
    """
    picture = read_picture(item.picture, item.where)
    frame = _Frame(picture.values.shape[0], picture.values.shape[1], recipe)
    height, width = frame.shape
    if recipe.size is None and height != width:
        raise UsageError(f"{item.where} is {width} x {height} pixels, not square. Use --size to pad and resize.")
    geometry = Geometry(height, width, recipe.size or height, recipe.square == "stretch")
    low, high = _window(item, picture, recipe)
    raised = picture.values - low if low else picture.values
    intensity = frame.cut(raised / (high - low))
    kind = _kind(picture, recipe)
    pixels = np.rint(geometry.image(np.clip(intensity, 0.0, 1.0)) * np.iinfo(kind).max).astype(kind)
    body = _body(item, pixels, frame, geometry, recipe)
    return Processed(
        pixels=pixels,
        foreground=body,
        mask=_mask(item, frame, geometry),
        boxes=geometry.boxes(frame.boxes(item, item.boxes)),
        ignored=geometry.boxes(frame.boxes(item, item.ignored)),
        clipped=int(((intensity > 1) | (intensity < 0)).sum()),
        stored=height * width,
        padded=geometry.shape != (height, width),
        resized=geometry.resizes,
        spacing_mm=picture.spacing_mm,
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """The part of a stored picture that becomes an image."""

    height: int
    width: int
    recipe: Recipe

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the cut."""
        height, width = self.recipe.crop or (self.height, self.width)
        return min(height, self.height), min(width, self.width)

    @property
    def corner(self) -> tuple[int, int]:
        """Left and top of the cut."""
        height, width = self.shape
        return (self.width - width) // 2, (self.height - height) // 2

    def cut(self, array: np.ndarray) -> np.ndarray:
        """The part."""
        (left, top), (height, width) = self.corner, self.shape
        return array[top : top + height, left : left + width]

    def boxes(self, item: Item, boxes: tuple[Box, ...]) -> Float64[np.ndarray, "b 4"]:
        """The boxes in the part; each must lie in it."""
        (left, top), (height, width) = self.corner, self.shape
        moved = np.array(boxes, np.float64).reshape(-1, 4) - np.array([left, top, 0, 0])
        for (x, y, w, h), stated in zip(moved, boxes, strict=True):
            inside = min(x, y) >= -ROUNDING and x + w <= width + ROUNDING and y + h <= height + ROUNDING
            if not inside or min(w, h) <= 0:
                raise InvalidDataError(
                    f"{item.where}: box ({', '.join(f'{side:g}' for side in stated)}) does not lie in {width} x "
                    f"{height} pixels. Give x, y, width, height in pixels of the stored image."
                )
        return moved


def _window(item: Item, picture: Picture, recipe: Recipe) -> tuple[float, float]:
    """The stored values that become intensity 0 and 1."""
    rule = recipe.normalisation
    low = 0.0
    if rule.rule == "window":
        low, high = float(rule.low), float(rule.high)  # unsigned pixels less a whole number would wrap
    elif rule.rule == "slice-window":
        low, high = map(float, np.percentile(picture.values, (rule.from_percentile, rule.percentile)))
    elif rule.rule == "slice-percentile":
        high = float(np.percentile(picture.values, rule.percentile))
    elif rule.rule == "volume-percentile":
        high = volume_percentile(item.picture, rule.percentile)
    else:
        high = item.divisor or picture.largest
    if not high > low:
        raise InvalidDataError(
            f"{item.where}: the values that would become intensity 0 and 1 are {low:g} and {high:g}; the picture shows "
            "nothing. Leave it out."
        )
    return low, high


def _kind(picture: Picture, recipe: Recipe) -> type[np.unsignedinteger]:
    if recipe.bits:
        return np.uint8 if recipe.bits == 8 else np.uint16
    return np.uint8 if picture.values.dtype == np.uint8 else np.uint16


def _body(item: Item, pixels: np.ndarray, frame: _Frame, geometry: Geometry, recipe: Recipe) -> np.ndarray:
    given = recipe.foreground == "given"
    body = _foreground(item, frame, geometry) if given else foreground(pixels, recipe.foreground)
    if not body.any():
        raise InvalidDataError(
            f"{item.where}: foreground {recipe.foreground!r} is empty, the picture shows nothing. "
            "Leave it out with --where, or use --foreground all."
        )
    return body


def _foreground(item: Item, frame: _Frame, geometry: Geometry) -> np.ndarray:
    if item.foreground is None:
        raise InvalidDataError(f"{item.where}: no foreground is given with it. Add one, or choose another rule.")
    where = f"{item.where}, foreground {item.foreground.file!r}"
    return geometry.mask(frame.cut(_of_same_size(read_mask(item.foreground, item.picture, where), frame, where)))


def _of_same_size(mask: np.ndarray, frame: _Frame, where: str) -> np.ndarray:
    if mask.shape != (frame.height, frame.width):
        height, width = mask.shape
        raise InvalidDataError(
            f"{where}: {width} x {height} pixels, the image {frame.width} x {frame.height}. Give both the same size."
        )
    return mask


def _mask(item: Item, frame: _Frame, geometry: Geometry) -> Bool[np.ndarray, "s s"] | None:
    if item.mask is None:
        return None
    where = f"{item.where}, mask {item.mask.file!r}"
    whole = _of_same_size(read_mask(item.mask, item.picture, where), frame, where)
    mask = frame.cut(whole)
    if mask.any() != (item.label == 1):
        raise InvalidDataError(
            f"{where}: marks {int(mask.sum())} pixels of an image with label {item.label}. "
            "An anomalous image marks at least one, a healthy one none."
        )
    return geometry.mask(mask)
