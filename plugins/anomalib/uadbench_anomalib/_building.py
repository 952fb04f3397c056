"""Building a model of anomalib by name, with weights from where uadbench finds them."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from unittest.mock import patch

import numpy as np
import timm
from torch import nn

from uadbench import plugins
from uadbench.errors import MissingWeightsError, ParameterError, UnknownNameError
from uadbench.torch_support.backbones import pretrained
from uadbench.torch_support.states import drawn
from uadbench.torch_support.storing import first_line
from uadbench.torch_support.weights import IMAGENET, WeightsUsed

OFF = {"evaluator": False, "visualizer": False, "post_processor": False}


class Named(Protocol):
    """Which model, how it is set, and what weights its backbone has."""

    model: str
    settings: str
    size: int
    weights: str


def built(method: Named, seed: int, *, empty: bool = False) -> tuple[Any, Sequence[Mapping[str, Any]]]:
    """The model and the records of the weights it has; `empty` leaves them out, for a state that is loaded next.

    Raises:
        UnknownNameError: No such model, or no such backbone.
        ParameterError: A setting that its class does not take.
        MissingWeightsError: Weights that cannot be found, or that anomalib cannot fetch.
    """
    from anomalib.models import get_model

    kind = _class_of(method.model)
    given = dict(plugins.parse_settings([f"x.{one}" for one in method.settings.split()]).get("x", {}))
    if method.size:
        given["pre_processor"] = kind.configure_pre_processor(image_size=(method.size, method.size))
    try:
        with _unfetched() as networks:
            model = get_model(method.model, **OFF, **given)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"anomalib's {method.model} does not take {method.settings!r}: {first_line(error)}"
        ) from error
    except (OSError, RuntimeError) as error:
        _require_backbone(str(given.get("backbone", "")), error)
        raise MissingWeightsError(
            f"anomalib's {method.model} gets its weights itself, and that failed: {first_line(error)} Connect to the "
            "network, or fill the cache of the Hugging Face hub and of torch elsewhere and copy it here."
        ) from error
    used = [] if empty else [_filled(network, method.weights, seed) for network in networks]
    return model, [one.record() for one in used]


@contextmanager
def _unfetched() -> Iterator[list[nn.Module]]:
    """The networks of timm that are made meanwhile and want weights, which timm would fetch: they are left without."""
    from timm.models import _builder

    made: list[nn.Module] = []
    # anomalib asks for pretrained networks deep inside its models, and offers no other way to bring weights along
    with patch.object(_builder, "load_pretrained") as asked:
        yield made
    made += [call.args[0] for call in asked.call_args_list]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Python's and numpy's random numbers, which some models draw from, come from the seed and are restored after."""
    before, state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(state)


def _class_of(name: str) -> Any:
    from anomalib.models import image

    classes = {one.lower(): one for one in image.__all__}
    wanted = name.replace("_", "")
    if wanted not in classes:
        raise UnknownNameError("image model of anomalib", name, classes, "uadbench list methods")
    return getattr(image, classes[wanted])


def _require_backbone(name: str, error: Exception) -> None:
    """Refuses a backbone that timm said it does not know."""
    if "Unknown model" in str(error) and name:
        known = timm.list_models() + timm.list_models(pretrained=True)
        raise UnknownNameError("backbone", name, known, f"timm.list_models({name[:4] + '*'!r})") from error


def _filled(network: Any, weights: str, seed: int) -> WeightsUsed:
    """Gives a network of timm the weights of that kind, and says which they are."""
    name, tag = network.pretrained_cfg["architecture"], network.pretrained_cfg["tag"]
    default = timm.get_pretrained_cfg(name)
    if default is None or default.tag != tag:
        name = f"{name}.{tag}"
    if weights != IMAGENET:
        return drawn(network, name, seed)
    whole, used = pretrained(name)
    state = whole.state_dict()
    network.load_state_dict({key: state[key] for key in network.state_dict()})
    return used
