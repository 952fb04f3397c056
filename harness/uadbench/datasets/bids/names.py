"""Names in BIDS: entities and suffix of a picture, strictly."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from uadbench.datasets.importing.volumes import SUFFIXES
from uadbench.errors import InvalidDataError

_NAME = re.compile(r"(?P<entities>(?:[A-Za-z]+-[A-Za-z0-9+]+_)+)(?P<suffix>[A-Za-z0-9]+)\.nii(?:\.gz)?")
LABELS = ("mask", "dseg", "probseg", "roi")  # suffixes of what marks a picture and is none


@dataclass(frozen=True, slots=True)
class Named:
    """A file below `anat`: its entities, as {"sub": "01", "run": "1"}, and its suffix."""

    file: str
    entities: Mapping[str, str]
    suffix: str

    @property
    def subject(self) -> str:
        """The participant, as participants.tsv writes it."""
        return f"sub-{self.entities['sub']}"

    @property
    def session(self) -> tuple[str, ...]:
        """Participant and session; "" for what the name does not state."""
        return tuple(self.entities.get(key, "") for key in ("sub", "ses"))

    @property
    def scan(self) -> tuple[str, ...]:
        """Participant, session, acquisition and run; "" for what the name does not state."""
        return (*self.session, *(self.entities.get(key, "") for key in ("acq", "run")))

    @property
    def marks_lesions(self) -> bool:
        """Whether it is a mask or segmentation of lesions, by its entities `label` or `desc`."""
        said = (self.entities.get("label", ""), self.entities.get("desc", ""))
        return self.suffix in LABELS and any("lesion" in one.lower() for one in said)

    def marks(self, picture: "Named") -> bool:
        """Whether it belongs to a picture: same participant and session, and nothing else that both state differs."""
        both = self.entities.keys() & picture.entities.keys() & {"acq", "run", "space", "res"}
        return self.session == picture.session and all(self.entities[key] == picture.entities[key] for key in both)


def named(file: str) -> Named | None:
    """What the name of a NIfTI file below sub-*/[ses-*/]anat says; None for files elsewhere and of other formats.

    Raises:
        InvalidDataError: A name that is not BIDS, or that contradicts its folders.
    """
    parts = PurePosixPath(file).parts
    if len(parts) < 3 or parts[-2] != "anat" or not file.endswith(SUFFIXES):
        return None
    found = _NAME.fullmatch(parts[-1])
    pairs = [tuple(pair.split("-", 1)) for pair in found["entities"].rstrip("_").split("_")] if found else []
    entities = dict(pairs)
    if found is None or len(entities) != len(pairs) or pairs[0][0] != "sub":
        raise InvalidDataError(
            f"{file}: not a name of BIDS. Write sub-<label>_[key-<value>_...]<suffix>.nii.gz, each key once."
        )
    above = parts[:-2][-2:] if "ses" in entities else parts[:-2][-1:]
    stated = tuple(f"{key}-{entities[key]}" for key in ("sub", "ses") if key in entities)
    if above != stated:
        raise InvalidDataError(f"{file}: lies in {'/'.join(above)}, but its name says {'/'.join(stated)}. Mend one.")
    return Named(file, entities, found["suffix"])
