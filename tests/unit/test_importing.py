"""The engine of all importers: what it is killed at, what leaks, who decides on splits, and what it holds in memory."""

import subprocess
import sys

import disk
import interrupted
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interrupted import COUNT, item, pictures, plan
from PIL import Image

from uadbench.datasets.importing.importing import import_plan
from uadbench.datasets.importing.items import Item, Stored
from uadbench.datasets.importing.leaks import Terms
from uadbench.datasets.importing.recipe import Recipe
from uadbench.datasets.importing.sources import FolderSource
from uadbench.datasets.importing.splitting import by_subject, counted, own_split, shuffled, tenth_validates
from uadbench.errors import EnvironmentProblemError, InvalidDataError, LeakError, UsageError
from uadbench.files.images import SPLITS, open_images
from uadbench.files.truth import open_truth


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eighty pictures."""
    return pictures(tmp_path_factory.mktemp("import") / "in")


@pytest.fixture(scope="module")
def whole(folder):
    """The digests of an import that was left in peace."""
    return digests(import_plan(plan(folder), folder.parent / "whole", Terms()))


def digests(report):
    return open_images(report.paths.images).digests, open_truth(report.paths.truth).digests


def heard(step, into):
    """A report that keeps what is done of one step."""
    return lambda name, done, total: into.append(done) if name == step else None


@pytest.mark.parametrize(
    ("moment", "kept"),
    [
        ("in a shard", 32), ("in the middle of writing a shard", 32), ("between shards", 64), ("while writing", 80),
        ("between the two renames", 80), ("before cleaning", 80),
    ],
)  # fmt: skip
def test_an_import_that_was_killed_goes_on_and_makes_the_same_dataset(folder, whole, tmp_path, moment, kept):
    command = [sys.executable, interrupted.__file__, str(folder), str(tmp_path / "out"), moment]
    assert subprocess.run(command, check=False).returncode == -9
    done: list[int] = []
    report = import_plan(plan(folder), tmp_path / "out", Terms(report=heard("reading", done)))
    assert done[0] == kept
    assert digests(report) == whole
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["toy-v1.images.h5", "toy-v1.truth.h5"]


def test_an_import_begins_anew_when_a_picture_was_replaced(tmp_path):
    folder = pictures(tmp_path / "in")
    command = [sys.executable, interrupted.__file__, str(folder), str(tmp_path / "out"), "between shards"]
    subprocess.run(command, check=False)
    Image.fromarray(interrupted.texture(500)).save(folder / "p000.png")
    done: list[int] = []
    report = import_plan(plan(folder), tmp_path / "out", Terms(report=heard("reading", done)))
    assert done[0] == 0
    row = open_truth(report.paths.truth)["train"].names.index("p000.png")
    pixels = open_images(report.paths.images)["train"][row : row + 1].pixels[0, 0]
    np.testing.assert_array_equal(np.rint(pixels * 255), interrupted.texture(500))


def test_several_processes_make_the_same_dataset_as_one(folder, whole, tmp_path):
    assert digests(import_plan(plan(folder), tmp_path, Terms(workers=2))) == whole


def test_the_order_of_the_items_does_not_matter(folder, whole, tmp_path):
    backwards = plan(folder, items=plan(folder).items[::-1])
    assert digests(import_plan(backwards, tmp_path, Terms())) == whole


def test_no_more_than_a_shard_is_held_in_memory(folder, tmp_path):
    on_disk: list[tuple[int, int]] = []

    def report(step, done, total):
        if step == "reading" and done:
            on_disk.append((done, len(list((tmp_path / ".toy-v1.import").glob("*.rows")))))

    import_plan(plan(folder), tmp_path, Terms(report=report))
    assert on_disk == [(32, 1), (64, 2), (80, 3)]


def test_a_full_disk_is_said_and_what_is_read_by_then_is_kept(folder, whole, tmp_path):
    # a shard takes 41 kB, the images file 82 kB
    with disk.largest_file(60_000), pytest.raises(EnvironmentProblemError, match="no space left"):
        import_plan(plan(folder), tmp_path, Terms())
    assert not [*tmp_path.glob("*.partial"), *tmp_path.glob("*.images.h5")]
    done: list[int] = []
    assert digests(import_plan(plan(folder), tmp_path, Terms(report=heard("reading", done)))) == whole
    assert done[0] == COUNT


def test_two_imports_of_a_dataset_at_once_are_refused(folder, tmp_path):
    sentences: list[str] = []

    def import_again(step, done, total):
        if step == "reading" and done == 32:
            with pytest.raises(UsageError, match="Another process imports toy-v1 into") as caught:
                import_plan(plan(folder), tmp_path, Terms())
            sentences.append(str(caught.value))

    import_plan(plan(folder), tmp_path, Terms(report=import_again))
    assert len(sentences) == 1


def changed(folder, number, **stated):
    """The plan with something else said of one picture."""
    items = [item(folder, one, **stated if one == number else {}) for one in range(COUNT)]
    return plan(folder, items=items)


LEAKS = (
    ({"subject": "s2"}, "p003.png in 'train': subject 's2' is also in 'test', as p002.png."),
    ({"group": "g"}, "p003.png in 'train' is a near-duplicate"),
)


def leaking(folder, stated):
    """Picture 2, of test, and picture 3, of train, are one subject or one group."""
    items = [item(folder, one, **stated if one in (2, 3) else {}) for one in range(COUNT)]
    return plan(folder, items=items)


@pytest.mark.parametrize(("stated", "sentence"), LEAKS)
def test_a_leak_is_refused_before_a_pixel_is_read(folder, tmp_path, stated, sentence):
    with pytest.raises(LeakError, match=f"toy-v1 leaks: {sentence}.*--drop-leaks.*--allow-leak"):
        import_plan(leaking(folder, stated), tmp_path, Terms())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("stated", "sentence"), LEAKS)
def test_a_dropped_leak_leaves_the_later_split_as_it_is(folder, tmp_path, stated, sentence):
    report = import_plan(leaking(folder, stated), tmp_path, Terms(leaks="drop"))
    assert report.left_out == {"also in a later split": 1}
    truth, images = open_truth(report.paths.truth), open_images(report.paths.images)
    assert "p003.png" not in truth["train"].names
    assert "p002.png" in truth["test"].names
    assert images.card.leaks == ()
    assert {"step": "leave out", "images": {"also in a later split": 1}} in images.card.preprocessing


@pytest.mark.parametrize(
    ("stated", "mark"),
    [
        ({"subject": "s2"}, "1 subject is in train and in test."),
        ({"group": "g"}, "Known copies between train and test: 1."),
    ],
)
def test_an_allowed_leak_marks_the_dataset_and_names_nobody_to_a_method(folder, tmp_path, stated, mark):
    report = import_plan(leaking(folder, stated), tmp_path, Terms(leaks="allow"))
    images = open_images(report.paths.images)
    assert images.card.leaks == (mark,)
    assert sum(len(images[split]) for split in SPLITS) == COUNT


def test_a_copy_that_only_its_pixels_betray_is_refused_and_what_is_read_is_kept(tmp_path):
    folder = pictures(tmp_path / "in")
    (folder / "p003.png").write_bytes((folder / "p002.png").read_bytes())
    with pytest.raises(LeakError, match="toy-v1 leaks: 1 pair of images with equal pixels between train and test"):
        import_plan(plan(folder), tmp_path / "out", Terms())
    done: list[int] = []
    report = import_plan(plan(folder), tmp_path / "out", Terms(leaks="drop", report=heard("reading", done)))
    assert done[0] == COUNT
    assert report.left_out == {"also in a later split": 1}
    assert not report.audit.leaks


def test_without_subjects_copies_are_one_and_the_draw_comes_after_reading(tmp_path):
    folder = pictures(tmp_path / "in")
    (folder / "p005.png").write_bytes((folder / "p004.png").read_bytes())
    items = [item(folder, number, subject="", split="") for number in range(COUNT)]
    drawing = plan(folder, items=items, settle=lambda found: (by_subject(found, 0), {}))
    report = import_plan(drawing, tmp_path / "out", Terms())
    assert sum(one.subjects for one in report.counts) == COUNT - 1


def test_anomalous_images_do_not_train_and_do_not_validate(folder, tmp_path):
    with pytest.raises(InvalidDataError, match=r"p003.png: an anomalous training image"):
        import_plan(changed(folder, 3, label=1), tmp_path, Terms())
    report = import_plan(changed(folder, 1, label=1, annotation="image", pathology="x"), tmp_path, Terms())
    assert report.left_out == {"anomalous validation image": 1}


def test_a_refused_picture_leaves_nothing_behind(folder, tmp_path):
    gone = Stored(FolderSource(folder), "gone.png")
    with pytest.raises(InvalidDataError, match=r"p070.png: 'gone.png' cannot be read"):
        import_plan(changed(folder, 70, picture=gone), tmp_path, Terms(workers=2))
    assert not list(tmp_path.iterdir())


def split_file(tmp_path, text):
    path = tmp_path / "split.csv"
    path.write_text(text)
    return path


def test_a_split_of_ones_own_names_images_or_subjects(folder, tmp_path):
    rows = "name,split\np000.png,train\ns3,train\np004.png,val\ns2,test\n"
    drawn = plan(folder, selection=({"step": "split", "rule": "drawn"}, {"step": "select", "rule": "all"}))
    report = import_plan(own_split(drawn, split_file(tmp_path, rows)), tmp_path, Terms())
    truth = open_truth(report.paths.truth)
    assert [sorted(truth[split].names) for split in SPLITS] == [["p000.png", "p003.png"], ["p004.png"], ["p002.png"]]
    assert report.left_out == {"not named by --split": 76}
    steps = [(step["step"], step.get("rule")) for step in report.preprocessing]
    assert steps[:2] == [("select", "all"), ("split", "given")]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,split\np000.png,training\n", r"row 2 has name 'p000.png' and split 'training'.*one of train, val, test"),
        ("file,split\np000.png,train\n", "row 2 has name '' and split 'train'"),
        ("name,split\np000.png,train\np000.png,val\n", "row 3 names 'p000.png' again"),
        ("name,split\n", "names no image"),
        ("", "names no image"),
        ("name,split\nq.png,train\n", "--split names 'q.png', which is no image and no subject here; .*'p000.png'"),
        ("name,split\np000.png,train\np004.png,val\n", "Split 'test' of toy-v1 is empty.*78 .not named by --split"),
        ("name,split\np000.png,train\np004.png,val\np002.png,train\n", "p002.png: an anomalous training image"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(folder, tmp_path, text, sentence):
    with pytest.raises(InvalidDataError, match=sentence):
        import_plan(own_split(plan(folder), split_file(tmp_path, text)), tmp_path / "out", Terms())


def test_a_split_file_that_is_no_text_is_refused(folder, tmp_path):
    (tmp_path / "split.csv").write_bytes(b"name,split\n\xff,train\n")
    for path in (tmp_path / "split.csv", tmp_path / "absent.csv"):
        with pytest.raises(InvalidDataError, match="cannot be read as CSV in UTF-8"):
            own_split(plan(folder), path)


PEOPLE = st.lists(
    st.tuples(st.integers(0, 30), st.booleans(), st.sampled_from("AB")), min_size=1, max_size=60
)  # fmt: skip


def images_of(people, **stated):
    """One image for each subject, label and site."""
    return [
        Item(f"i{n}", Stored(FolderSource("."), "x.png"), "x", subject=f"s{who}", label=int(sick), site=site, **stated)
        for n, (who, sick, site) in enumerate(people)
    ]


@given(PEOPLE, st.integers(0, 5))
def test_a_subject_is_in_one_split_and_in_test_when_sick(people, seed):
    placed = by_subject(images_of(people), seed)
    homes = {}
    for one in placed:
        assert homes.setdefault(one.subject, one.split) == one.split
        assert not one.label or one.split == "test"
    assert [one.name for one in placed] == [f"i{n}" for n in range(len(people))]


@given(PEOPLE, st.integers(0, 5))
def test_a_draw_does_not_depend_on_the_order_of_the_images(people, seed):
    items = images_of([(who, sick, "A") for who, sick, _ in people])
    forth, back = by_subject(items, seed), by_subject(items[::-1], seed)
    assert {one.name: one.split for one in forth} == {one.name: one.split for one in back}


@given(st.sets(st.text(max_size=5), min_size=2), st.integers(0, 5))
def test_a_name_less_does_not_change_the_order_of_the_others(names, seed):
    gone = min(names)
    assert [name for name in shuffled(names, seed) if name != gone] == shuffled(names - {gone}, seed)


def test_the_shares_are_those_of_the_subjects_in_each_site():
    people = [(who, False, "A" if who < 20 else "B") for who in range(30)]
    placed = by_subject(images_of(people), 0, val=0.1, test=0.2)
    found = {(site, split): 0 for site in "AB" for split in SPLITS}
    for one in placed:
        found[one.site, one.split] += 1
    assert list(found.values()) == [14, 2, 4, 7, 1, 2]


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.1, 1.0)])
def test_shares_that_leave_nothing_to_train_are_refused(val, test):
    with pytest.raises(UsageError, match="give two from 0 on with a sum below 1"):
        by_subject(images_of([(0, False, "A")]), 0, val=val, test=test)


@given(PEOPLE, st.integers(1, 10), st.integers(1, 10), st.integers(0, 5))
def test_a_count_is_passed_by_less_than_one_subject(people, train, test, seed):
    items = images_of(people)
    sizes = [sum(one.subject == who for one in items) for who in {one.subject for one in items}]
    try:
        taken, rest = counted(items, (("train", train), ("test", test)), seed)
    except InvalidDataError:
        assert len(items) < train + test + 2 * (max(sizes) - 1)
        return
    for split, wanted in (("train", train), ("test", test)):
        assert wanted <= sum(one.split == split for one in taken) < wanted + max(sizes)
    assert len(taken) + rest == len(items)
    assert len({(one.subject, one.split) for one in taken}) == len({one.subject for one in taken})


def test_too_few_images_for_their_counts_are_refused():
    items = images_of([(who, False, "A") for who in range(5)])
    with pytest.raises(InvalidDataError, match=r"5 images of 5 subjects do not fill train 4, test 2.*--split"):
        counted(items, (("train", 4), ("test", 2)), 0)


def test_a_tenth_of_the_subjects_of_train_validates():
    items = images_of([(who // 2, False, "A") for who in range(40)], split="train")
    items += images_of([(50, True, "A")], split="test")
    placed = tenth_validates(items, 0)
    assert [sum(one.split == split for one in placed) for split in SPLITS] == [36, 4, 1]
    assert len({one.subject for one in placed if one.split == "val"}) == 2


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [({"workers": 0}, "--workers 0: give 1 or more"), ({"leaks": "hide"}, "Leaks 'hide': give one of")],
)
def test_terms_that_do_not_fit_are_refused(terms, sentence):
    with pytest.raises(UsageError, match=sentence):
        Terms(**terms)


def test_pictures_of_another_size_are_refused_wherever_they_stand(tmp_path):
    folder = pictures(tmp_path / "in")
    Image.fromarray(interrupted.texture(600, 64)).save(folder / "p070.png")
    with pytest.raises(UsageError, match=r"p070.png has 64 pixels a side, p000.png has 32"):
        import_plan(plan(folder), tmp_path / "out", Terms())
    report = import_plan(plan(folder, recipe=Recipe(size=32, foreground="all")), tmp_path / "out", Terms())
    assert any(step["step"] == "resize" and step["images"] == 1 for step in report.preprocessing)
