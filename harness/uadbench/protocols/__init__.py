"""Protocols: the frozen rules of a board. One TOML file each; a change is a new name."""

import tomllib
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from uadbench.errors import InvalidDataError, UnknownNameError

METRICS = (
    *("image_auroc", "image_ap", "image_fpr_at_tpr95", "image_recall_at_fpr5"),
    *("pixel_ap", "pixel_ap_per_image", "pixel_auroc", "aupro", "oracle_dice"),
    *("dice_at_fpr5", "dice_at_fpr1", "recall_at_fpr5", "lesion_recall_at_fpr5"),
    *("subject_dice_at_fpr5", "subject_auroc", "box_f1", "box_f1_foreground", "box_iou_f1"),
    *("recon_ssim", "recon_mse", "recon_mae", "recon_ssim_inside", "recon_mse_inside", "recon_mae_inside"),
    *("recon_ssim_outside", "recon_mse_outside", "recon_mae_outside"),
)
SCALED_METRICS = ("box_f1_paper", "box_f1_code")  # depend on the map's scale: to compare with print, never primary
THRESHOLDS = ("healthy-val", "healthy-test")
PIXELS = ("all", "foreground")


@dataclass(frozen=True, slots=True)
class Protocol:
    """What is measured on which data, and how.

    `pixels` are those that pixel metrics count ("all" or "foreground"); `threshold` says which healthy images give the
    thresholds ("healthy-val", or "healthy-test" to reproduce a paper); `identity` is the dataset's identity digest (""
    binds to none); a ranked row of a stochastic method needs `seeds` seeds; `resamples` bootstrap draws with
    `resample_seed` give the intervals.
    """

    name: str
    title: str
    dataset: str
    primary: str
    metrics: tuple[str, ...] = METRICS
    identity: str = ""
    pixels: str = "all"
    threshold: str = "healthy-val"
    seeds: int = 3
    resamples: int = 1000
    resample_seed: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.metrics) - {*METRICS, *SCALED_METRICS})
        if unknown or self.primary not in self.metrics or self.primary in SCALED_METRICS:
            raise InvalidDataError(
                f"Protocol {self.name}: metrics {list(self.metrics)} with primary {self.primary!r}. "
                f"Choose among {', '.join(METRICS)}, the primary one of them."
            )
        if self.pixels not in PIXELS or self.threshold not in THRESHOLDS:
            raise InvalidDataError(
                f"Protocol {self.name}: pixels {self.pixels!r}, threshold {self.threshold!r}. "
                "Choose pixels 'all' or 'foreground' and threshold 'healthy-val' or 'healthy-test'."
            )
        counts = ((self.seeds, 1), (self.resamples, 1), (self.resample_seed, 0))
        if not all(isinstance(count, int) and count >= least for count, least in counts):
            raise InvalidDataError(
                f"Protocol {self.name}: seeds {self.seeds!r}, resamples {self.resamples!r}, resample_seed "
                f"{self.resample_seed!r}. Give at least one seed and one resample, and a resample_seed from 0 on."
            )

    @property
    def digest(self) -> str:
        """SHA-256 over every rule; the title and the notes are words and may be bettered."""
        from uadbench.files.digest import digest_json

        return digest_json({rule: value for rule, value in asdict(self).items() if rule not in ("title", "notes")})


def read_protocol(path: Path) -> Protocol:
    """The protocol in a TOML file.

    Raises:
        InvalidDataError: Not TOML, or an unknown or missing rule.
    """
    try:
        return _protocol(tomllib.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InvalidDataError(f"{path}: not a protocol ({error}). See `uadbench list protocols`.") from error


def _protocol(rules: dict[str, Any]) -> Protocol:
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in rules.items()}
    return Protocol(**plain)


@cache
def shipped() -> dict[str, Protocol]:
    """The protocols that ship with the harness, by name."""
    folder = files("uadbench.protocols")
    found = [
        _protocol(tomllib.loads(entry.read_text(encoding="utf-8")))
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    ]
    return {one.name: one for one in sorted(found, key=lambda one: one.name)}


def protocol(name: str) -> Protocol:
    """The shipped protocol of that name.

    Raises:
        UnknownNameError: There is none; names the nearest.
    """
    known = shipped()
    if name not in known:
        raise UnknownNameError("protocol", name, known, "uadbench list protocols")
    return known[name]


def protocol_for(dataset: str, *, has_masks: bool) -> Protocol:
    """The shipped protocol of a dataset, or a local one with the same rules for a user's own."""
    for one in shipped().values():
        if one.dataset == dataset:
            return one
    primary = "pixel_ap" if has_masks else "image_auroc"
    return Protocol(
        f"{dataset}-local",
        f"Local protocol for {dataset}",
        dataset,
        primary,
        notes=("A local protocol: rows can be compared on this machine's data only.",),
    )
