"""Composing: tiles with outlines and captions, side by side under a title, as one picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw, ImageFont

from uadbench.board.drawing import OUTLINE, Colours, Pixels, edges, grey, rim
from uadbench.errors import MissingLibraryError

BOX = np.array([255, 176, 59], np.uint8)
SIDE = 256  # pixels of a tile's longest side, at most
_NARROWEST = 224  # pixels that a caption needs
_MARGIN, _GAP, _BAR, _CAPTION = 28, 20, 84, 34  # pixels
_PAPER, _INK, _SOFT = (18, 21, 24), (238, 240, 242), (160, 169, 178)
_MARKS = {"mask": tuple(OUTLINE.tolist()), "box": tuple(BOX.tolist())}


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture with what stands below it: at the left its caption, at the right how the image is annotated."""

    picture: Colours
    caption: str
    marks: tuple[str, ...]


def outlined(pixels: Pixels, mask: Bool[np.ndarray, "h w"], boxes: Float[np.ndarray, "b 4"]) -> Colours:
    """The image in [0, 1] as RGB with the edges of its boxes, and around its mask the pixels just outside.

    At most `SIDE` pixels a side: a larger image is shrunk, its mask to every pixel that it touches; a smaller one is
    enlarged by a whole number.
    """
    pixels, mask, boxes = _shrunk(pixels, mask, boxes)
    drawn = grey(pixels).copy()
    drawn[edges(boxes, mask.shape)] = BOX
    drawn[rim(mask)] = OUTLINE
    times = max(1, SIDE // max(mask.shape))
    return drawn.repeat(times, axis=0).repeat(times, axis=1)


def _shrunk(pixels: np.ndarray, mask: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    height, width = mask.shape
    share = SIDE / max(height, width)
    if share >= 1:
        return pixels, mask, boxes
    size = max(1, round(width * share)), max(1, round(height * share))

    def small(plane: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(plane.astype(np.float32)).resize(size, Image.Resampling.BOX))

    ratios = np.array([size[0] / width, size[1] / height] * 2)
    return np.stack([small(plane) for plane in pixels]), small(mask) > 0, np.asarray(boxes) * ratios


def composed(split: str, pathology: str, counts: str, tiles: Sequence[Tile], columns: int) -> Image.Image:
    """Tiles in rows of `columns` under a bar: split and pathology at its left, `counts` at its right."""
    height, width, _ = tiles[0].picture.shape
    across, down = max(width, _NARROWEST) + _GAP, height + _CAPTION + _GAP
    lines = -(-len(tiles) // columns)
    size = 2 * _MARGIN + columns * across - _GAP, _BAR + lines * down - _GAP + _MARGIN
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    _write_bar(pen, size[0], (split, pathology, counts))
    for place, tile in enumerate(tiles):
        x, y = _MARGIN + place % columns * across, _BAR + place // columns * down
        sheet.paste(Image.fromarray(tile.picture), (x, y))
        _write_caption(pen, (x, y + height), across - _GAP, tile)
    return sheet


def _write_bar(pen: ImageDraw.ImageDraw, width: int, texts: tuple[str, str, str]) -> None:
    split, pathology, counts = texts
    large, small, line = _font(30), _font(20), 52
    right = width - _MARGIN - small.getlength(counts)
    pen.text((width - _MARGIN, line), counts, _SOFT, small, anchor="rs")
    before = f"{split}  ·  "
    start = _MARGIN + large.getlength(before)
    pen.text((_MARGIN, line), before, _SOFT, large, anchor="ls")
    pen.text((start, line), fitting(pathology, large, right - start - _GAP), _INK, large, anchor="ls")


def _write_caption(pen: ImageDraw.ImageDraw, corner: tuple[int, int], width: int, tile: Tile) -> None:
    font, (left, top) = _font(18), corner
    line, right = top + 22, float(left + width)
    for mark in reversed(tile.marks):
        pen.text((right, line), mark, _MARKS.get(mark, _INK), font, anchor="rs")
        right -= font.getlength(mark) + _GAP / 2
    pen.text((left, line), fitting(tile.caption, font, right - left), _SOFT, font, anchor="ls")


def fitting(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """The text, cut with an ellipsis where it is wider than the room in pixels."""
    if font.getlength(text) <= room:
        return text
    end = next((end for end in range(len(text), 0, -1) if font.getlength(f"{text[:end]}…") <= room), 0)
    return f"{text[:end].rstrip()}…"


def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, which is there on every machine.

    Raises:
        MissingLibraryError: Pillow was built without FreeType.
    """
    try:
        font = ImageFont.load_default(size)
    except ImportError as error:
        raise MissingLibraryError(
            "Pillow was built without FreeType, so no caption can be written. Install Pillow's own wheel."
        ) from error
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
