"""Folders and zips: names that stay inside, hidden files, other alphabets, links, members that unpack to too much."""

import os
import zipfile
from dataclasses import replace

import interrupted
import pytest
from PIL import Image

from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.items import Stored
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.pictures import SUFFIXES
from uadbench.datasets.importing.reading import read_picture
from uadbench.datasets.importing.request import Request
from uadbench.datasets.importing.sources import FolderSource, ZipSource, source_at
from uadbench.errors import InvalidDataError, UsageError
from uadbench.files.truth import open_truth

FOREIGN = ["Größe/Schädel ä.png", "肺部/正常.png", "naïve 🧠.png"]


@pytest.fixture
def folder(tmp_path):
    """A picture in a folder in a folder, and what systems leave beside it."""
    for name in ("a/b/one.png", ".DS_Store", "a/.hidden/two.png", "a/Thumbs.db", "__MACOSX/a/._one.png", ".git/three"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(interrupted.texture(1)).save(path, "PNG")
    return tmp_path / "in"


def zipped(folder):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as file:
        for one in sorted(folder.rglob("*")):
            if one.is_file():
                file.write(one, str(one.relative_to(folder)))
    return path


def test_hidden_files_and_what_systems_leave_are_passed_over(folder):
    assert list(source_at(folder).names()) == ["a/b/one.png"]
    assert list(source_at(zipped(folder)).names()) == ["a/b/one.png"]


@pytest.mark.parametrize("name", FOREIGN)
def test_names_in_other_alphabets_are_read_from_folder_and_zip(folder, name):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(interrupted.texture(2)).save(path)
    for source in (source_at(folder), source_at(zipped(folder))):
        assert name in source.names()
        assert (read_picture(Stored(source, name), name).values == interrupted.texture(2)).all()


def test_names_in_other_alphabets_are_kept_in_the_dataset(tmp_path):
    folder = interrupted.pictures(tmp_path / "in")
    items = [interrupted.item(folder, number) for number in range(interrupted.COUNT)]
    for place, name in enumerate(FOREIGN):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / items[place].name).rename(folder / name)
        items[place] = replace(items[place], name=name, picture=Stored(FolderSource(folder), name), subject=name)
    report = import_plan(interrupted.plan(folder, items=items), tmp_path / "out", Terms())
    truth = open_truth(report.paths.truth)
    assert set(FOREIGN) <= {*truth["train"].names, *truth["val"].names, *truth["test"].names}


def test_a_name_that_is_not_utf_8_is_refused(folder):
    (folder / os.fsdecode(b"a/\xff.png")).touch()
    with pytest.raises(InvalidDataError, match=r"the name 'a/\\udcff.png' is not in UTF-8. Rename the file"):
        source_at(folder).names()


@pytest.mark.parametrize("name", ["../x.png", "/etc/hostname", "a/../../x.png", "a\\x.png", "a\0.png", "", "."])
@pytest.mark.parametrize("kind", [FolderSource, ZipSource])
def test_a_name_that_leaves_the_source_is_refused(folder, kind, name):
    source = kind(folder if kind is FolderSource else zipped(folder))
    with pytest.raises(InvalidDataError, match=r"row 7: .* is not a path below the source"):
        source.read(name, "row 7")


def test_a_zip_with_a_member_that_leaves_it_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as file:
        file.writestr("../../evil.png", b"x")
    with pytest.raises(InvalidDataError, match=r"in.zip: '../../evil.png' is not a path below the source"):
        source_at(tmp_path / "in.zip").names()
    assert list(tmp_path.iterdir()) == [tmp_path / "in.zip"]


def test_a_link_out_of_the_folder_is_refused_when_listed_and_when_read(folder, tmp_path):
    Image.fromarray(interrupted.texture(3)).save(tmp_path / "outside.png")
    (folder / "a" / "link.png").symlink_to(tmp_path / "outside.png")
    for look in (lambda source: source.names(), lambda source: source.read("a/link.png", "row 7")):
        with pytest.raises(InvalidDataError, match=r"'a/link.png' is a link out of"):
            look(source_at(folder))


def test_a_folder_that_is_a_link_out_is_refused(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidDataError, match="'more' is a link out of"):
        source_at(folder).names()


def test_a_link_within_the_folder_is_followed(folder):
    (folder / "a" / "again.png").symlink_to(folder / "a" / "b" / "one.png")
    assert list(source_at(folder).names()) == ["a/again.png", "a/b/one.png"]


def test_a_link_to_a_folder_above_is_refused(folder):
    (folder / "a" / "round").symlink_to(folder)
    with pytest.raises(InvalidDataError, match=r"a/round: is a link to a folder that it lies in"):
        source_at(folder).names()


def test_a_member_that_unpacks_to_far_too_much_is_refused_unread(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.png", bytes(40 << 20))
        file.writestr("flat.png", bytes(1 << 19))
    source = source_at(tmp_path / "in.zip")
    with pytest.raises(
        InvalidDataError, match=r"'bomb.png' in .* would unpack from \d+ to 41943040 bytes, as no picture"
    ):
        source.read("bomb.png", "row 7")
    assert len(source.read("flat.png", "row 7")) == 1 << 19


def test_a_zip_that_was_replaced_is_opened_again(tmp_path):
    path = tmp_path / "in.zip"
    for number, content in enumerate((b"first", b"the second")):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("a.txt", content)
        os.utime(path, (number, number))
        assert source_at(path).read("a.txt", "row 7") == content


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"hello"])
def test_what_is_no_zip_is_refused(tmp_path, content):
    (tmp_path / "in.zip").write_bytes(content)
    with pytest.raises(InvalidDataError, match=r"in.zip: neither a folder nor a readable zip"):
        source_at(tmp_path / "in.zip")


def test_a_survey_is_the_same_in_one_process_and_in_two():
    heard: list[tuple[str, int, int]] = []
    alone = Request({}, report=lambda *said: heard.append(said))
    assert alone.survey(len, SUFFIXES, "looking") == Request({}, workers=2).survey(len, SUFFIXES, "looking")
    assert heard[-1] == ("looking", len(SUFFIXES), len(SUFFIXES))


def test_a_seed_below_0_is_refused():
    with pytest.raises(UsageError, match="--seed -1: give 0 or more"):
        Request({}, seed=-1)
