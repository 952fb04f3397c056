"""`uadbench doctor`: what this environment has, and what to do about what it lacks."""

import click

from uadbench.cli.console import say_json, show
from uadbench.cli.listing import as_json


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """Say what is installed and what is missing. Exit code 4 if a plugin is broken."""
    import sys

    from uadbench import plugins

    registry = plugins.registry()
    registry.methods()
    findings = [*_place(), *_libraries(), *_devices(), _weights()]
    findings += [(f"plugin {one.origin.distribution}", "broken", one.error) for one in registry.broken]
    if as_json:
        say_json({"what": what, "state": state, "note": note} for what, state, note in findings)
    else:
        show("uadbench doctor", ("what", "state", "note"), findings)
    if registry.broken:
        sys.exit(4)


def _place() -> list[tuple[str, str, str]]:
    import platform
    import shutil

    from uadbench import __version__
    from uadbench.home import home

    existing = next(folder for folder in (home(), *home().parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 2**30
    return [
        ("uadbench", __version__, f"Python {platform.python_version()} on {platform.platform()}"),
        ("workspace", str(home()), f"{free:.0f} GiB free" + ("" if free > 2 else "; runs need space, free some")),
    ]


def _libraries() -> list[tuple[str, str, str]]:
    from importlib.metadata import PackageNotFoundError, version

    uses = {
        "nilearn": "brain-phantom-v1: pip install 'uadbench[phantom]'",
        "pandas": "importing data: pip install 'uadbench[import]'",
        "scikit-image": "importing data: pip install 'uadbench[import]'",
        "pytest-benchmark": "latency: pip install 'uadbench[latency]'",
        "torch": "most methods: pip install 'uadbench[torch]'",
        "timm": "pretrained backbones: pip install 'uadbench[torch]'",
        "lpips": "perceptual distances: pip install 'uadbench[perceptual]'",
    }
    findings = []
    for name, use in uses.items():
        try:
            findings.append((name, version(name), use.partition(":")[0]))
        except PackageNotFoundError:
            findings.append((name, "missing", use))
    return findings


def _devices() -> list[tuple[str, str, str]]:
    from uadbench.torch_support.devices import cuda_devices

    found = [(f"cuda:{number}", name) for number, name in enumerate(cuda_devices())]
    return [("device", device, name) for device, name in found or [("cpu", "torch sees no CUDA device")]]


def _weights() -> tuple[str, str, str]:
    from uadbench.torch_support.weights import find, folder
    from uadbench.torch_support.weights_manifest import shipped

    here = sum(find(name) is not None for name in shipped())
    return "weights", f"{here} of {len(shipped())}", f"in {folder()} and packages; see `uadbench weights list`"
