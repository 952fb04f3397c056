"""How a fitted canary is stored: its parameters as JSON, its arrays as npz."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def save_params(folder: Path, params: Mapping[str, Any]) -> None:
    """Write `params.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.json").write_text(json.dumps(params))


def load_params(folder: Path) -> dict[str, Any]:
    """The parameters that `save_params` wrote."""
    params: dict[str, Any] = json.loads((folder / "params.json").read_text())
    return params


def save_arrays(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write `arrays.npz`."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "arrays.npz", **arrays)  # type: ignore[arg-type]


def load_arrays(folder: Path) -> dict[str, np.ndarray]:
    """The arrays that `save_arrays` wrote."""
    with np.load(folder / "arrays.npz") as file:
        return dict(file)
