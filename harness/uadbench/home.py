"""Where a user's data, runs and boards live: `$UADBENCH_HOME`, else `~/uadbench`."""

import os
from pathlib import Path


def home() -> Path:
    """The workspace folder; it may not exist yet."""
    return Path(os.environ.get("UADBENCH_HOME") or "~/uadbench").expanduser().absolute()


def data_folder() -> Path:
    """Images and truth files."""
    return home() / "data"


def runs_folder() -> Path:
    """One folder per run."""
    return home() / "runs"


def boards_folder() -> Path:
    """Rendered boards."""
    return home() / "boards"
