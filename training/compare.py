"""Scores two models on the same labelled rows: `python -m training.compare MODEL CHAMPION ROWS COMPARISON.json`.

MODEL and CHAMPION are archives or folders, ROWS is parquet with the label, as for `training.predict`. COMPARISON.json
has the number of rows and, for each of the two, Loss, F1 Score and AUC ROC as in report.json, without class weights; F1
is that of the model's own threshold. Rows are read and scored piece by piece. An error is also written to the file that
SageMaker shows as the ExitMessage of a Processing job.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from training.errors import TrainingError
from training.evaluation.report import ScoreEntry, score_entry
from training.evaluation.scoring import scoring_of
from training.files import write_whole
from training.inference import Model
from training.predict import ERRORS, fail, load, located, parquet_pieces

NAMES = ("model", "champion")


def compare(models: dict[str, Model], rows: str | Path) -> dict[str, int | ScoreEntry]:
    """Return the scores of all models and the number of rows. Raises ValueError, naming the model that is the cause."""
    scores = {}
    counts = set()
    for name, model in models.items():
        try:
            scores[name], count = evaluate(model, rows)
        except (ValueError, TrainingError) as error:
            raise ValueError(f"the {name} cannot score these rows: {error}") from None
        counts.add(count)
    return {"rows": counts.pop(), **scores}


def evaluate(model: Model, rows: str | Path) -> tuple[ScoreEntry, int]:
    """Return a model's scores, and the number of rows."""
    files, path = located(rows)
    scoring = scoring_of([1 / len(model.classes.values)] * len(model.classes.values), balanced=False)
    tally, count = None, 0
    for table in parquet_pieces(files, path, model, (model.label_name,)):
        labels = torch.tensor(model.classes.encode(table[model.label_name].combine_chunks(), model.label_name))
        piece = scoring.tally(model.outputs(table), labels, exact=False)
        tally = piece if tally is None else scoring.merge([tally, piece])
        count += table.num_rows
    if tally is None:
        raise ValueError(f"{rows} has no rows")
    return score_entry(scoring.score(tally, model.threshold)), count


def main(argv: list[str]) -> int:
    """Run the command line; return the exit status."""
    if len(argv) != 4:
        print("usage: python -m training.compare MODEL CHAMPION ROWS COMPARISON.json", file=sys.stderr)
        return 2
    try:
        models = dict(zip(NAMES, map(load, argv[:2]), strict=True))
        if len({model.label_name for model in models.values()}) > 1:
            labels = " and ".join(f"the {name} {model.label_name}" for name, model in models.items())
            raise ValueError(f"they predict different labels: {labels}")
        write_whole(Path(argv[3]), json.dumps(compare(models, argv[2])).encode())
    except ERRORS as error:
        return fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
