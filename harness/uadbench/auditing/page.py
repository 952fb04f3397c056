"""The page: an audit as one HTML file that loads nothing from the network and runs no script."""

from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from uadbench.auditing.measuring import FLAGGED
from uadbench.auditing.pixelwise import TELLING
from uadbench.auditing.records import Audit, Finding, label_name
from uadbench.auditing.thumbnails import shown_examples, shown_pairs

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
HEADINGS = {
    "subject": "Subjects in two splits",
    "anomalous": "Anomalous images among the healthy",
    "exact-duplicate": "Equal pixels",
    "near-duplicate": "Near duplicates",
    "shortcut": "Shortcuts",
    "pixel-shortcut": "A single pixel",
    "closest": "Closest, but no duplicates",
    "blank": "Images without contrast",
}


def page(audit: Audit, thumbnails: Mapping[int, str]) -> str:
    """The audit as HTML, `thumbnails` being data URIs by row; all text of the dataset is escaped."""
    environment = Environment(
        loader=PackageLoader("uadbench.auditing"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    style = files("uadbench.auditing").joinpath("templates", "audit.css").read_text(encoding="utf-8")
    return environment.get_template("audit.html.j2").render(
        audit=audit,
        thumbnails=thumbnails,
        style=Markup(style),
        policy=POLICY,
        headings=HEADINGS,
        label_name=label_name,
        flagged=FLAGGED,
        telling=TELLING,
        pairs_of=shown_pairs,
        examples_of=shown_examples,
        left_out=_left_out,
    )


def _left_out(finding: Finding) -> int:
    """How many pairs or images of a finding the page does not show."""
    return max(0, finding.total - len(shown_pairs(finding)) - len(shown_examples(finding))) if finding.suspects else 0
