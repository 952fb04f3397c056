"""The suites by name. A name is a promise: other parameters are another name."""

from collections.abc import Mapping
from types import MappingProxyType

from uadbench.datasets.synthetic.coarse_noise import DaeNoise
from uadbench.datasets.synthetic.copy_paste import CopyPaste
from uadbench.datasets.synthetic.corruption import Corruption
from uadbench.datasets.synthetic.disc import PitDisc
from uadbench.datasets.synthetic.ellipses import Axes, PhanesMasks, RaEllipses
from uadbench.datasets.synthetic.radial import PitRadial
from uadbench.datasets.synthetic.shuffle import PitShuffle
from uadbench.datasets.synthetic.simplex import SimplexNoise
from uadbench.errors import UnknownNameError

SUITES: Mapping[str, Corruption] = MappingProxyType(
    {
        "ra-ellipses-n8-12": RaEllipses(Axes("normal", 8.0, 12.0)),
        "ra-ellipses-u8-12": RaEllipses(Axes("uniform", 8.0, 12.0)),
        "ra-ellipses-n4-6": RaEllipses(Axes("normal", 4.0, 6.0)),
        "ra-copy-paste": CopyPaste("code"),
        "ra-copy-paste-paper": CopyPaste("paper"),
        "phanes-masks": PhanesMasks(),
        "pit-disc": PitDisc(),
        "pit-sink-1": PitRadial("sink", 1),
        "pit-sink-2": PitRadial("sink", 2),
        "pit-source-1": PitRadial("source", 1),
        "pit-source-2": PitRadial("source", 2),
        "pit-shuffle": PitShuffle(),
        "dae-noise": DaeNoise(),
        "simplex-noise": SimplexNoise(),
    }
)


def suite(name: str) -> Corruption:
    """The suite of that name.

    Raises:
        UnknownNameError: There is none; suggests the nearest.
    """
    if name not in SUITES:
        raise UnknownNameError("suite", name, SUITES, "uadbench data synthesise --list")
    return SUITES[name]
