"""What the README says of importers is what is installed."""

import re
from pathlib import Path

from uadbench.datasets import uadbench_datasets

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_every_importer_stands_in_the_readme_with_its_roots_and_what_it_writes():
    for spec in (one for one in uadbench_datasets() if one.importer):
        row = next(line for line in README.splitlines() if re.match(rf"\| .*`{spec.name}`", line))
        assert all(f"`{key}=`" in row for key, _ in spec.roots)
        assert spec.name == "medianomaly" or all(f"`{name}`" in row for name in spec.writes)


def test_every_dataset_that_an_importer_writes_has_a_protocol_or_says_healthy_only():
    from uadbench.protocols import shipped

    known = {one.dataset for one in shipped().values()}
    written = {name for spec in uadbench_datasets() for name in spec.writes}
    assert written - known == {"ixi-v1", "mood2020-v1", "cxr-padchest-v1"}
