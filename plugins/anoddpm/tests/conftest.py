"""Lets the tests write `import scalar_simplex`; the benchmark of the noise reads the same file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
