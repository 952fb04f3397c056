"""Drawing: lines over a logarithmic axis as SVG text, in colours that can be read on white and on black."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log2

WIDTH, HEIGHT, GAP = 330, 250, 165  # of a panel, and to its right, where the lines are named
LEFT, TOP, BOTTOM = 56, 34, 46
OURS, PAPER, TEXT = "#2f81f7", "#8b949e", "#768390"


@dataclass(frozen=True, slots=True)
class Line:
    """Points (x, y, half the height of the band around y); the measured line is drawn solid, others dashed."""

    title: str
    points: tuple[tuple[int, float, float], ...]
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """A title and the lines under it."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """From numbers to places in a panel; the panels of a figure share it."""

    first: int
    last: int
    low: float
    high: float

    def x(self, value: float) -> float:
        """Places from the left; doubling is one step."""
        return round((log2(value) - log2(self.first)) / ((log2(self.last) - log2(self.first)) or 1) * WIDTH, 1)

    def y(self, value: float) -> float:
        """Places from the top."""
        return round((self.high - value) / (self.high - self.low) * HEIGHT, 1)


def figure(panels: Sequence[Panel], label: str) -> str:
    """The panels side by side; the same panels give the same bytes."""
    scale = _scale([point for panel in panels for line in panel.lines for point in line.points])
    wide, high = LEFT + len(panels) * (WIDTH + GAP), TOP + HEIGHT + BOTTOM
    drawn = [_panel(panel, scale, LEFT + place * (WIDTH + GAP)) for place, panel in enumerate(panels)]
    upright = f'<text transform="translate(14,{TOP + HEIGHT // 2}) rotate(-90)" {_middle()}>{escape(label)}</text>'
    font = f'font-family="system-ui, sans-serif" font-size="12" fill="{TEXT}"'
    box = f'width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"'
    title = f"<title>{escape(label)} against the latent dimension</title>"
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {box} {font}>', title, upright, *drawn, "</svg>", ""])


def _scale(points: Sequence[tuple[int, float, float]]) -> Scale:
    """The range of all points, to whole tenths."""
    low, high = min(y - band for _, y, band in points), max(y + band for _, y, band in points)
    numbers = [x for x, *_ in points]
    return Scale(min(numbers), max(numbers), floor(low * 10) / 10, -floor(-high * 10) / 10)


def _panel(panel: Panel, scale: Scale, left: int) -> str:
    head = f'<text x="0" y="-14" font-weight="bold">{escape(panel.title)}</text>'
    foot = f'<text x="{WIDTH / 2}" y="{HEIGHT + 38}" {_middle()}>latent dimension</text>'
    names = _names(panel.lines, scale)
    body = [head, *_grid(panel, scale), *(_line(line, scale) for line in panel.lines), *names, foot]
    return "\n".join([f'<g transform="translate({left},{TOP})">', *body, "</g>"])


def _grid(panel: Panel, scale: Scale) -> list[str]:
    tenths = range(round(scale.low * 10), round(scale.high * 10) + 1)
    rules = [
        f'<path d="M0 {scale.y(one / 10)}H{WIDTH}" stroke="{PAPER}" stroke-opacity="0.25"/>'
        f'<text x="-8" y="{scale.y(one / 10) + 4}" text-anchor="end">{one / 10:.1f}</text>'
        for one in tenths
    ]
    places = sorted({x for line in panel.lines for x, *_ in line.points})
    return [*rules, *(f'<text x="{scale.x(x)}" y="{HEIGHT + 18}" {_middle()}>{x}</text>' for x in places)]


def _line(line: Line, scale: Scale) -> str:
    """The line, and for ours its band and points."""
    way = "L".join(f"{scale.x(x)} {scale.y(y)}" for x, y, _ in line.points)
    if not line.ours:
        return f'<path d="M{way}" fill="none" stroke="{PAPER}" stroke-width="1.5" stroke-dasharray="5 4"/>'
    above = [f"{scale.x(x)} {scale.y(y + band)}" for x, y, band in line.points]
    below = [f"{scale.x(x)} {scale.y(y - band)}" for x, y, band in reversed(line.points)]
    dots = "".join(f'<circle cx="{scale.x(x)}" cy="{scale.y(y)}" r="3" fill="{OURS}"/>' for x, y, _ in line.points)
    band = f'<path d="M{"L".join([*above, *below])}Z" fill="{OURS}" fill-opacity="0.25"/>'
    return f'{band}<path d="M{way}" fill="none" stroke="{OURS}" stroke-width="2.5"/>{dots}'


def _names(lines: Sequence[Line], scale: Scale) -> list[str]:
    """The names at the lines' right ends, moved apart where they would touch."""
    ends = sorted((scale.y(line.points[-1][1]), scale.x(line.points[-1][0]), place) for place, line in enumerate(lines))
    names, lowest = [], -16.0
    for y, x, place in ends:
        lowest = max(y, lowest + 14)
        line = lines[place]
        colour, word = (OURS, line.title) if line.ours else (TEXT, f"{line.title} (paper)")
        weight = ' font-weight="bold"' if line.ours else ""
        names.append(f'<text x="{x + 8}" y="{round(lowest + 4, 1)}" fill="{colour}"{weight}>{escape(word)}</text>')
    return names


def _middle() -> str:
    return 'text-anchor="middle"'
