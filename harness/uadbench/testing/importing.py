"""What a plugin's entry module loads when it is only listed: found out in a process of its own."""

import json
import subprocess
import sys
from importlib.metadata import entry_points

from uadbench.errors import ContractError
from uadbench.hookspecs import MethodSpec
from uadbench.plugins import GROUP

HEAVY = ("torch", "tensorflow", "pandas", "h5py", "sklearn", "skimage", "matplotlib")
PROBE = """
import importlib, json, sys
sys.path[:], heavy, modules = json.loads(sys.argv[1])
for module in modules:
    offer = getattr(importlib.import_module(module), "uadbench_methods", None)
    if offer is not None:
        offer()
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


def package(spec: MethodSpec) -> str:
    """The top package of the method's class."""
    return spec.target.partition(":")[0].partition(".")[0]


def heavy_modules(spec: MethodSpec) -> list[str]:
    """The heavy libraries loaded by importing the method's plugin and asking for its methods.

    Raises:
        ContractError: The plugin does not import.
    """
    home = package(spec)
    entries = [point.module for point in entry_points(group=GROUP) if point.module.partition(".")[0] == home]
    request = json.dumps([sys.path, HEAVY, entries or [home]])
    probe = subprocess.run([sys.executable, "-c", PROBE, request], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise ContractError(f"{spec.name}: importing {home} fails: {(probe.stderr.strip() or '?').splitlines()[-1]}")
    found: list[str] = json.loads(probe.stdout.splitlines()[-1])
    return found
