"""Thumbnails: small pictures of the images that an audit points at, and of no others."""

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32
from PIL import Image

from uadbench.auditing.records import Audit, Finding, Pair, Scans, Specimen, Suspect

LONGEST = 144  # pixels of a side
MOST_PAIRS = 24  # of one finding that a page shows
MOST_EXAMPLES = 12
_BRIGHT = 0.995  # quantile of intensity that is shown white


def shown_pairs(finding: Finding) -> tuple[Pair, ...]:
    """The pairs of a finding that a page has room for."""
    return finding.pairs[:MOST_PAIRS]


def shown_examples(finding: Finding) -> tuple[Suspect, ...]:
    """The single images of a finding that a page has room for."""
    return finding.examples[:MOST_EXAMPLES]


def thumbnails(audit: Audit, scans: Scans, specimens: Sequence[Specimen]) -> Mapping[int, str]:
    """A PNG as data URI for the row of every image that a page shows; one pass over the images, as far as needed."""
    wanted = _wanted(audit)
    found: dict[int, str] = {}
    stop = 0
    for pixels, _ in scans() if wanted else ():
        start, stop = stop, stop + len(pixels)
        found |= {row: _uri(pixels[row - start]) for row in wanted if start <= row < stop}
        if len(found) == len(wanted) or stop >= len(specimens):
            break
    return found


def _wanted(audit: Audit) -> list[int]:
    pairs = [pair for finding in audit.findings for pair in shown_pairs(finding)]
    examples = [one for finding in audit.findings for one in shown_examples(finding)]
    return sorted({one.row for pair in pairs for one in (pair.first, pair.second)} | {one.row for one in examples})


def _uri(pixels: Float32[np.ndarray, "h w"]) -> str:
    """The image from its lowest intensity to its bright ones, at most 144 pixels a side."""
    low, high = float(pixels.min()), float(np.quantile(pixels, _BRIGHT))
    high = high if high > low else max(low + 1 / 255, float(pixels.max()))
    shown = np.clip((pixels - low) / (high - low), 0, 1)
    picture = Image.fromarray(np.asarray(np.rint(255 * shown), np.uint8))
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.BOX)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
