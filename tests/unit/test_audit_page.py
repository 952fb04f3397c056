"""The page of an audit: one file, every text escaped, thumbnails only of what is suspect."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from uadbench.auditing import Specimen, audit, page, thumbnails
from uadbench.auditing.thumbnails import MOST_PAIRS

EVIL = "<script>alert('x')</script> 脳"


def scene(pairs=1, name=EVIL):
    """An audit in which so many images of train are copied into test, with what it was made of."""
    generator = np.random.default_rng(0)
    images = generator.random((pairs + 2, 40, 60), np.float32)
    images = np.concatenate([images, images[:pairs] * 0.9])
    splits = ["train"] * (pairs + 2) + ["test"] * pairs
    known = [Specimen(f"{name} {i}", split, False, f"s{i}", EVIL) for i, split in enumerate(splits)]

    def scans():
        for start in range(0, len(images), 5):
            some = images[start : start + 5]
            yield some, np.ones(some.shape, bool)

    return audit(EVIL, known, scans), scans, known


def rendered(pairs=1):
    result, scans, known = scene(pairs)
    return page(result, thumbnails(result, scans, known))


def test_text_of_the_dataset_is_escaped_and_no_script_may_run():
    text = rendered()
    assert "<script" not in text
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; 脳" in text
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in text.replace("&#39;", "'")


def test_the_page_loads_nothing():
    text = rendered()
    assert not re.findall(r"""(?:src|href)=["'](?!data:image/png|#)""", text)
    assert "url(" not in text
    assert "@import" not in text


def test_thumbnails_are_small_pictures_of_the_suspects_alone():
    result, scans, known = scene(2)
    found = thumbnails(result, scans, known)
    assert sorted(found) == [0, 1, 4, 5]
    raw = base64.b64decode(found[0].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(raw)).size == (60, 40)


def test_a_page_says_how_many_pairs_it_does_not_show():
    text = rendered(MOST_PAIRS + 3)
    assert "3 more pairs are not shown." in text
    assert text.count("<img") == 2 * MOST_PAIRS


def test_every_link_has_its_section():
    text = rendered()
    assert set(re.findall(r'href="#([^"]+)"', text)) == set(re.findall(r'<section id="([^"]+)"', text))


@pytest.mark.parametrize("count", [0, 3])
def test_a_page_of_an_audit_without_findings_or_images_is_whole(count):
    known = [Specimen(str(i), "train", False, str(i), "") for i in range(count)]
    images = np.random.default_rng(0).random((count, 30, 30), np.float32)
    result = audit("calm", known, lambda: iter([(images, np.ones(images.shape, bool))]))
    text = page(result, {})
    assert "no leaks, no warnings" in text
    assert text.endswith("</html>")
