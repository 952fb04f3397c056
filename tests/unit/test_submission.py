"""Submissions: a bundle is packed, re-scored and accepted; nothing in it is believed."""

import json
import shutil

import factories
import h5py
import pytest

from uadbench.board import Entry, leaderboard, markdown
from uadbench.errors import InvalidDataError, UsageError
from uadbench.files import predictions
from uadbench.files.images import open_images
from uadbench.files.predictions import PredictionWriter, open_predictions
from uadbench.files.results import read_record
from uadbench.files.submission import DECLARATION, AcceptedRow, Submission, Submitter
from uadbench.files.truth import open_truth
from uadbench.scoring import score
from uadbench.submitting import Candidate, pack
from uadbench.types import Prediction
from uadbench.verifying import accept, read_rows, read_submission, verify

RULES = factories.protocol(resamples=20)
US = Submitter(name="Ours", paper="A paper", code="code", licence="MIT")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    paths = factories.toy_dataset(tmp_path_factory.mktemp("data"))
    return open_images(paths.images), open_truth(paths.truth)


@pytest.fixture
def candidates(tmp_path, data):
    """Makes finished runs of one method, one per seed."""

    def of(*seeds, **provenance):
        made = []
        for seed in seeds:
            path = factories.toy_predictions(tmp_path / f"run-{seed}.h5", data[0], seed=seed, **provenance)
            made.append(Candidate(f"run-{seed}", path, score(RULES, *data, path), 1.5, 0.5))
        return made

    return of


@pytest.fixture
def bundle(tmp_path, candidates):
    pack(candidates(0, 1), US, tmp_path / "bundle")
    return tmp_path / "bundle"


def edit(bundle, change):
    """Change the manifest of a bundle by hand."""
    path = bundle / "submission.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def problems(bundle, data):
    """What verification says of the first run."""
    return " ".join(verify(bundle, RULES, *data).findings[0].problems)


def test_a_bundle_holds_who_what_and_every_seal(bundle, candidates):
    submission = read_submission(bundle)
    assert (submission.submitter, submission.declaration, submission.protocol) == (US, DECLARATION, "toy-v1")
    assert [run.seal for run in submission.runs] == [one.result.seal for one in candidates(0, 1)]
    assert sorted(path.name for path in (bundle / "predictions").iterdir()) == ["run-0.h5", "run-1.h5"]


def test_an_honest_bundle_passes_and_becomes_one_row_over_its_seeds(bundle, data, tmp_path):
    verification = verify(bundle, RULES, *data)
    assert verification.passed
    (path,) = accept(verification, tmp_path / "rows")
    row = read_record(path, AcceptedRow)
    assert ([result.seed for result in row.results], row.trust, row.submitter) == ([0, 1], "re-scored", US)


def test_rows_render_as_a_board(bundle, data, tmp_path):
    accept(verify(bundle, RULES, *data), tmp_path / "rows")
    entries = [Entry(row.results, row.trust, row.submitter.name) for row in read_rows(tmp_path / "rows")]
    assert "intensity" in markdown(leaderboard(RULES, entries))


def test_rows_are_those_scored_here_not_those_claimed(bundle, data, tmp_path, candidates):
    (path,) = accept(verify(bundle, RULES, *data), tmp_path / "rows")
    assert read_record(path, AcceptedRow).results == tuple(one.result for one in candidates(0, 1))


@pytest.mark.parametrize("metric", ["pixel_ap", "image_auroc"])
def test_a_claim_that_is_not_found_is_named_with_both_numbers(metric, bundle, data):
    edit(bundle, lambda manifest: manifest["runs"][0]["claimed"].update({metric: 0.987654}))
    assert f"{metric}: claimed 0.987654, re-scored " in problems(bundle, data)


def test_a_claim_of_a_metric_that_the_protocol_does_not_have_is_named(bundle, data):
    edit(bundle, lambda manifest: manifest["runs"][0]["claimed"].update({"accuracy": 1.0}))
    assert "accuracy: claimed 1.000000, re-scored no value." in problems(bundle, data)


def test_maps_changed_after_sealing_are_found(bundle, data):
    with h5py.File(bundle / "predictions" / "run-0.h5", "r+") as file:
        file["test/maps"][0] = 1.0
    assert "the seal" in problems(bundle, data)
    assert "does not fit the content" in problems(bundle, data)


def test_another_sealed_file_under_the_same_name_is_found(bundle, data):
    shutil.copyfile(bundle / "predictions" / "run-1.h5", bundle / "predictions" / "run-0.h5")
    assert "is not the submitted" in problems(bundle, data)


def test_a_missing_file_is_found(bundle, data):
    (bundle / "predictions" / "run-0.h5").unlink()
    assert "run-0.h5: no such file" in problems(bundle, data)


def test_one_wrong_run_does_not_hide_the_others(bundle, data):
    (bundle / "predictions" / "run-0.h5").unlink()
    first, second = verify(bundle, RULES, *data).findings
    assert (first.result, second.problems) == (None, ())


def test_nothing_is_accepted_of_a_bundle_that_did_not_pass(bundle, data, tmp_path):
    (bundle / "predictions" / "run-0.h5").unlink()
    with pytest.raises(InvalidDataError, match=r"The bundle did not pass; no row was written"):
        accept(verify(bundle, RULES, *data), tmp_path / "rows")
    assert not (tmp_path / "rows").exists()


@pytest.mark.parametrize("path", [
    "../outside.h5", "/etc/outside.h5", "predictions/../../outside.h5", "predictions//run.h5", "predictions\\run.h5",
    "./run.h5", "run.txt", ".h5/..", "",
])  # fmt: skip
def test_a_path_out_of_the_bundle_is_refused(path, bundle, data):
    edit(bundle, lambda manifest: manifest["runs"][0].update(predictions=path))
    with pytest.raises(InvalidDataError, match=r"not a valid Submission .runs.0.predictions: .*inside the bundle"):
        verify(bundle, RULES, *data)


def test_a_link_out_of_the_bundle_is_refused(bundle, data, tmp_path):
    inside = bundle / "predictions" / "run-0.h5"
    inside.rename(tmp_path / "elsewhere.h5")
    inside.symlink_to(tmp_path / "elsewhere.h5")
    assert "a link out of the bundle. Put the file itself there" in problems(bundle, data)


def test_a_folder_that_is_a_link_out_of_the_bundle_is_refused(bundle, data, tmp_path):
    (bundle / "predictions").rename(tmp_path / "elsewhere")
    (bundle / "predictions").symlink_to(tmp_path / "elsewhere")
    assert "a link out of the bundle" in problems(bundle, data)


def test_a_dataset_is_a_name_and_never_a_path(bundle):
    edit(bundle, lambda manifest: manifest.update(dataset="../../etc/toy-v1"))
    with pytest.raises(InvalidDataError, match=r"not a valid Submission .dataset: .*is not the name of a dataset"):
        read_submission(bundle)


@pytest.mark.parametrize(("change", "sentence"), [
    ({"declaration": "I may have looked at test."}, "declaration: .*must be: The method saw"),
    ({"declaration": ""}, "declaration: .*must be"),
    ({"submitter": {"name": ""}}, "submitter.name: "),
    ({"runs": []}, "runs: "),
    ({"schema": "uadbench-submission-v2"}, "schema: "),
    ({"bonus": 1}, "bonus: "),
])  # fmt: skip
def test_a_manifest_that_breaks_the_schema_is_refused(change, sentence, bundle, data):
    edit(bundle, lambda manifest: manifest.update(change))
    with pytest.raises(InvalidDataError, match=rf"submission.json: not a valid Submission \({sentence}"):
        verify(bundle, RULES, *data)


@pytest.mark.parametrize("claim", ["NaN", "Infinity", '"high"'])
def test_a_claim_that_is_no_number_is_refused(claim, bundle, data):
    path = bundle / "submission.json"
    path.write_text(path.read_text().replace('"pixel_ap": ', f'"pixel_ap": {claim}, "old": ', 1))
    with pytest.raises(InvalidDataError, match=r"not a valid Submission \("):
        verify(bundle, RULES, *data)


def test_a_bundle_under_another_protocol_is_refused(bundle, data):
    with pytest.raises(InvalidDataError, match=r"submitted under toy-v1 .*, but the protocol here is toy-v1 .*again"):
        verify(bundle, factories.protocol(resamples=21), *data)


def test_a_bundle_about_another_dataset_is_refused(bundle, tmp_path):
    other = factories.toy_dataset(tmp_path / "other", each=5)
    with pytest.raises(InvalidDataError, match=r"about toy-v1 of identity .*Run on this dataset and submit again"):
        verify(bundle, RULES, open_images(other.images), open_truth(other.truth))


def test_what_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(InvalidDataError, match=r"submission.json: no such file"):
        read_submission(tmp_path / "nowhere")
    (tmp_path / "submission.json").mkdir()
    with pytest.raises(InvalidDataError, match=r"submission.json: cannot be read .Is a directory"):
        read_submission(tmp_path)


def test_a_row_of_another_submitter_is_not_replaced(bundle, data, tmp_path):
    (path,) = accept(verify(bundle, RULES, *data), tmp_path / "rows")
    before = path.read_text()
    edit(bundle, lambda manifest: manifest["submitter"].update(name="Theirs"))
    with pytest.raises(InvalidDataError, match=r"submitted by another group already. Compare the two"):
        accept(verify(bundle, RULES, *data), tmp_path / "rows")
    assert path.read_text() == before


def test_a_row_of_the_same_submitter_is_replaced(bundle, data, tmp_path):
    first = accept(verify(bundle, RULES, *data), tmp_path / "rows")
    edit(bundle, lambda manifest: manifest["runs"].pop())
    assert accept(verify(bundle, RULES, *data), tmp_path / "rows") == first
    assert len(read_record(first[0], AcceptedRow).results) == 1


def test_one_seed_submitted_twice_is_not_two_seeds(bundle, data):
    edit(bundle, lambda manifest: manifest["runs"].append(manifest["runs"][0]))
    assert not verify(bundle, RULES, *data).passed
    (problem,) = verify(bundle, RULES, *data).findings[2].problems
    assert problem == "seed 0 of intensity is in predictions/run-0.h5 already. Submit each seed once."


def test_a_copy_of_one_seed_under_another_name_is_not_two_seeds(bundle, data):
    shutil.copyfile(bundle / "predictions" / "run-0.h5", bundle / "predictions" / "copy.h5")
    edit(bundle, lambda manifest: manifest["runs"][1].update(
        predictions="predictions/copy.h5", seal=manifest["runs"][0]["seal"], claimed={}))  # fmt: skip
    assert (
        "seed 0 of intensity is in predictions/run-0.h5 already" in verify(bundle, RULES, *data).findings[1].problems[0]
    )


def test_a_method_name_cannot_lead_out_of_the_rows(data, tmp_path, candidates):
    pack(candidates(0, method="../../evil"), US, tmp_path / "evil")
    (path,) = accept(verify(tmp_path / "evil", RULES, *data), tmp_path / "rows")
    assert path.parent == tmp_path / "rows"


def test_a_row_that_is_no_row_is_named(tmp_path):
    (tmp_path / "odd.json").write_text("[]")
    with pytest.raises(InvalidDataError, match=r"odd.json: not a valid AcceptedRow"):
        read_rows(tmp_path)


def test_nothing_and_an_existing_folder_and_a_run_twice_are_not_packed(tmp_path, candidates):
    with pytest.raises(UsageError, match=r"Nothing to submit. Name at least one run"):
        pack([], US, tmp_path / "bundle")
    with pytest.raises(UsageError, match=r"exists already. Name a new folder"):
        pack(candidates(0), US, tmp_path)
    with pytest.raises(UsageError, match=r"A run is named twice among run-0, run-0. Name each once"):
        pack(candidates(0, 0), US, tmp_path / "bundle")


def test_runs_of_two_protocols_are_not_packed_together(tmp_path, data, candidates):
    first, second = candidates(0, 1)
    other = Candidate(
        second.name, second.predictions, score(factories.protocol(resamples=5), *data, second.predictions)
    )
    with pytest.raises(InvalidDataError, match=r"Submit the runs of one protocol at a time"):
        pack([first, other], US, tmp_path / "bundle")


def test_a_result_of_other_predictions_is_not_packed(tmp_path, candidates):
    first, second = candidates(0, 1)
    with pytest.raises(InvalidDataError, match=r"the stored result belongs to another seal"):
        pack([Candidate(first.name, first.predictions, second.result)], US, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_incomplete_predictions_neither_packed_nor_accepted(tmp_path, data, bundle):
    path = bundle / "predictions" / "run-0.h5"
    with PredictionWriter(path, read_submission_provenance(data)) as writer:
        for split, count in (("val", 6), ("test", 3)):
            batch = data[0][split][:count]
            writer.append(split, batch.ids, Prediction(batch.pixels[:, 0], batch.pixels.mean(axis=(1, 2, 3))))
    result = score(RULES, *data, path)
    edit(bundle, lambda manifest: manifest["runs"][0].update(seal=result.seal, claimed={}))
    assert "3 of 12 test images are predicted." in problems(bundle, data)
    with pytest.raises(InvalidDataError, match=r"run-0 has 3 of 12 predictions. Run it again"):
        pack([Candidate("run-0", path, result)], US, tmp_path / "part")


def read_submission_provenance(data):
    """What a run says of its making."""
    digests = data[0].digests
    return {"method": "intensity", "seed": 0, "dataset": {"identity": digests.identity, "pixels": digests.pixels}}


def test_a_submission_is_a_frozen_record(bundle):
    submission = read_submission(bundle)
    assert Submission.model_validate_json(submission.model_dump_json(by_alias=True)) == submission


def relabelled(data, place, seed, stochastic):
    """A sealed file with the maps of seed 0 that says it is of another seed."""
    with PredictionWriter(place / f"run-{seed}.h5", {
        **open_predictions(factories.toy_predictions(place / "made.h5", data[0])).provenance,
        "seed": seed, "stochastic": stochastic,
    }) as writer:  # fmt: skip
        for split in ("val", "test"):
            batch = data[0][split][: len(data[0][split])]
            writer.append(split, batch.ids, Prediction(batch.pixels[:, 0], batch.pixels.mean(axis=(1, 2, 3))))
    return Candidate(f"run-{seed}", writer.path, score(RULES, *data, writer.path))


@pytest.mark.parametrize("stochastic", [True, False])
def test_one_run_under_two_seeds_is_not_two_seeds_of_a_stochastic_method(stochastic, data, tmp_path):
    pack([relabelled(data, tmp_path, seed, stochastic) for seed in (0, 1)], US, tmp_path / "twice")
    said = [finding.problems for finding in verify(tmp_path / "twice", RULES, *data).findings]
    same = "seed 1 of intensity has every number of predictions/run-0.h5. Submit runs of different seeds."
    assert said == [(), (same,) if stochastic else ()]


@pytest.mark.parametrize("said", [{"dataset": []}, {"seed": "one"}, {"params": None}])
def test_odd_provenance_is_a_finding_and_no_crash(said, bundle, data):
    with h5py.File(bundle / "predictions" / "run-0.h5", "r+") as file:
        file.attrs["provenance"] = json.dumps(said, separators=(",", ":"))
        file.attrs["seal"], _ = predictions._digest(file)
    assert f"the provenance says {next(iter(said))} = " in problems(bundle, data)
