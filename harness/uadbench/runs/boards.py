"""The board of a dataset: every finished run in the store under one protocol, rendered again after each run."""

from dataclasses import replace
from pathlib import Path

from uadbench.board import Entry, Leaderboard, Picture, group, leaderboard, pictures, write_board
from uadbench.board.facts import facts_of
from uadbench.errors import InvalidDataError
from uadbench.files.images import Dataset
from uadbench.files.predictions import open_predictions
from uadbench.files.results import Result
from uadbench.files.submission import is_external
from uadbench.files.truth import TruthFile
from uadbench.protocols import Protocol
from uadbench.runs.local import result_of
from uadbench.runs.store import Run, Store


class BoardWriter:
    """Writes the board of one protocol; example pictures of a run are drawn once."""

    def __init__(self, rules: Protocol, dataset: Dataset, truth: TruthFile, folder: Path) -> None:
        self.rules, self.dataset, self.truth, self.folder = rules, dataset, truth, folder
        self._drawn: dict[str, tuple[Picture, ...]] = {}

    def write(self, store: Store) -> tuple[Leaderboard, Path]:
        """Render all finished runs; runs on another copy of the dataset (another identity) are left out."""
        fitting = [
            run
            for run in store.done(self.dataset.card.name)
            if run.record.spec.identity == self.dataset.digests.identity
        ]
        scored = [(run, result) for run in fitting for result in self._result(run)]
        runs = {result.seal: run for run, result in scored}
        entries = [self._completed(entry, runs) for entry in group(result for _, result in scored)]
        board = leaderboard(self.rules, entries)
        return board, write_board(board, self.folder, facts=facts_of(self.dataset, self.truth))

    def _result(self, run: Run) -> list[Result]:
        try:
            return [result_of(run, self.rules, self.dataset, self.truth)]
        except InvalidDataError:  # damaged since it was made; `run` and `score` say so, the other rows stay
            return []

    def _completed(self, entry: Entry, runs: dict[str, Run]) -> Entry:
        seal = entry.results[0].seal
        if seal not in self._drawn:
            self._drawn[seal] = self._pictures(runs[seal])
        origin = "external" if is_external(entry.results) else entry.origin
        return replace(entry, pictures=self._drawn[seal], origin=origin)

    def _pictures(self, run: Run) -> tuple[Picture, ...]:
        try:
            predictions = open_predictions(run.predictions, verify=False)
        except InvalidDataError:  # as above; the row stays without pictures
            return ()
        return pictures(self.dataset, self.truth, predictions)
