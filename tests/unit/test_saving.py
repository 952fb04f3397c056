"""Fitted networks on disk: what comes back, and what is refused."""

import json
import sys
from dataclasses import dataclass, field, make_dataclass

import pytest
import torch
from disk import largest_file
from torch import nn

from uadbench.errors import EnvironmentProblemError, InvalidDataError, ParameterError
from uadbench.torch_support import saving, storing


@dataclass(frozen=True)
class Toy:
    """A method with a parameter of each kind."""

    width: int = 3
    rate: float = 0.5
    name: str = "toy"
    levels: tuple[int, ...] = (1, 2)
    active: bool = False

    def __post_init__(self) -> None:
        if self.width > 100:
            raise ParameterError(f"width is {self.width}. Give at most 100.")


def network(width=3):
    """A layer with statistics, in train mode."""
    torch.manual_seed(width)
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))


@pytest.fixture
def folder(tmp_path):
    """A saved detector."""
    saving.save(tmp_path / "detector", network(), Toy(levels=(4,)), channels=2, seed=7)
    return tmp_path / "detector"


def loaded(folder, kind=Toy, width=3):
    """A new network with the folder's weights."""
    _, saved = saving.read(folder, kind)
    model = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
    saving.load_weights(folder, model, saved, kind)
    return model


def rewritten(folder, **changes):
    """The facts of the folder, changed."""
    facts = json.loads((folder / saving.FACTS).read_text())
    (folder / saving.FACTS).write_text(json.dumps(facts | changes))


def test_parameters_channels_and_seed_come_back(folder):
    method, saved = saving.read(folder, Toy)
    assert method == Toy(levels=(4,))
    assert (saved.channels, saved.seed, saved.method) == (2, 7, "Toy")


def test_weights_come_back_in_eval_mode(folder):
    model = loaded(folder)
    assert not model.training
    assert all(map(torch.equal, model.state_dict().values(), network().state_dict().values()))


def test_a_folder_that_is_there_is_written_over(folder):
    saving.save(folder, network(5), Toy(width=5), channels=1)
    assert saving.read(folder, Toy)[0] == Toy(width=5)
    assert loaded(folder, width=5)[0].weight.shape == (5, 2)
    assert sorted(path.name for path in folder.iterdir()) == ["detector.json", "network.pt"]


def test_a_detector_of_another_method_is_refused(folder):
    other = make_dataclass("Other", [("width", int, field(default=3))], frozen=True)
    with pytest.raises(InvalidDataError, match=r"holds a fitted Toy, not Other. Name the right folder"):
        saving.read(folder, other)


@pytest.mark.parametrize(
    ("params", "reason"),
    [({"depth": 2}, "unexpected keyword argument 'depth'"), ({"width": 200}, "width is 200")],
    ids=["unknown", "refused"],
)
def test_a_detector_of_another_version_is_refused_with_both_versions(params, reason, folder):
    rewritten(folder, params=params, written_by="uadbench-toys 9.9")
    with pytest.raises(InvalidDataError, match=f"written by uadbench-toys 9.9 and does not fit .*{reason}.*Fit the"):
        saving.read(folder, Toy)


def test_a_network_of_another_version_is_refused(folder):
    rewritten(folder, written_by="uadbench-toys 9.9")
    with pytest.raises(InvalidDataError, match=r"uadbench-toys 9.9 and does not fit .*Error\(s\) in loading"):
        loaded(folder, width=4)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": "uadbench-detector-v1"}'])
def test_facts_that_are_none_are_refused(text, folder):
    (folder / saving.FACTS).write_text(text)
    with pytest.raises(InvalidDataError, match=r"holds no saved detector \(.+\). Fit the method again"):
        saving.read(folder, Toy)


@pytest.mark.parametrize("changes", [{"params": [1]}, {"channels": "1"}, {"seed": None}, {"channels": True}], ids=str)
def test_facts_of_a_wrong_kind_are_refused(changes, folder):
    rewritten(folder, **changes)
    with pytest.raises(InvalidDataError, match=r"detector.json is damaged: params, channels or seed are of a wrong"):
        saving.read(folder, Toy)


def test_another_format_is_refused(folder):
    rewritten(folder, format="uadbench-detector-v0")
    with pytest.raises(InvalidDataError, match=r"is no uadbench-detector-v1. Fit the method again with this version"):
        saving.read(folder, Toy)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InvalidDataError, match=r"holds no saved detector"):
        saving.read(tmp_path, Toy)


def test_missing_weights_are_named(folder):
    (folder / saving.WEIGHTS).unlink()
    with pytest.raises(InvalidDataError, match=r"network.pt is not there. Fit the method again"):
        loaded(folder)


def flipped(content, at):
    """One byte turned round."""
    return content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]


def of_weights(content):
    """Where the first weights lie in the file."""
    return content.index(network()[0].weight.detach().numpy().tobytes())


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"\x80\x02}q\x00.",
        lambda content: content[: len(content) // 2],
        lambda content: flipped(content, of_weights(content)),
    ],
    ids=["empty", "pickle", "cut", "flipped"],
)
def test_damaged_weights_are_refused(damage, folder):
    file = folder / saving.WEIGHTS
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InvalidDataError, match=r"network.pt is damaged \(.+\). Fit the method again"):
        loaded(folder)


def test_a_folder_in_place_of_the_weights_is_refused(folder):
    (folder / saving.WEIGHTS).unlink()
    (folder / saving.WEIGHTS).mkdir()
    with pytest.raises(InvalidDataError, match=r"network.pt is damaged"):
        loaded(folder)


def test_a_file_runs_no_code_when_it_is_read(tmp_path):
    torch.save({"weights": sys.exit}, tmp_path / "network.pt")
    with pytest.raises(InvalidDataError, match=r"network.pt is damaged .Weights only load failed"):
        storing.read(tmp_path / "network.pt", "Fit the method again.")


def test_who_reads_the_old_file_is_not_disturbed_by_a_new_one(tmp_path):
    storing.write(tmp_path / "file.pt", [1, 2])
    before = (tmp_path / "file.pt").read_bytes()
    with (tmp_path / "file.pt").open("rb") as file:
        storing.write(tmp_path / "file.pt", [3, 4])
        assert file.read() == before
    assert storing.read(tmp_path / "file.pt", "") == [3, 4]


@pytest.mark.parametrize("size", [50, 2000, 30_000])
def test_a_full_disk_is_said_and_leaves_the_old_file(size, tmp_path):
    storing.write(tmp_path / "file.pt", [1, 2])
    with largest_file(size), pytest.raises(EnvironmentProblemError, match=r"no space left on the device"):
        storing.write(tmp_path / "file.pt", {"weights": torch.rand(10_000)})
    assert storing.read(tmp_path / "file.pt", "") == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["file.pt"]


def test_a_folder_that_is_a_file_is_said(tmp_path):
    (tmp_path / "detector").write_text("")
    with pytest.raises(EnvironmentProblemError, match=r"detector: cannot be written"):
        saving.save(tmp_path / "detector", network(), Toy(), channels=1)
