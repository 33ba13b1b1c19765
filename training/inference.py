"""Serves the model: becomes `code/inference.py` in the artifact, for the SageMaker PyTorch inference container.

JSON bodies are a list of rows (objects), one row, or {"instances": [...]}; CSV bodies have a header line. Missing
values are null in JSON and empty in CSV. The answer has one {"probability", "label"} per row. Of two classes,
the probability is that of the positive one, and the threshold decides on the label. Of more classes, the label is the
most probable one, the probability is its own, and "probabilities" has those of all.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import pyarrow as pa
import torch

from training.model import Shape, TabularNet, pooled
from training.table.encoding import Encoder
from training.table.labels import Classes
from training.table.values import parsed

ENCODED_ROWS = 65_536  # rows that are encoded together
BATCH_ROWS = 4_096  # rows that go through the network together; fewer of a wide table ...
BATCH_VALUES = 2**20  # ... whose embeddings would take more than some 100 MB
FORMAT = 2  # of the artifact's files


@dataclass(frozen=True)
class Model:
    """A network with everything that turns rows into its input and its output into answers."""

    net: TabularNet
    encoder: Encoder
    classes: Classes
    threshold: float | None
    """Of two classes, the probability from which a row counts as positive; None with more classes."""
    id_name: str
    label_name: str = ""

    @property
    def features(self) -> list[str]:
        """The columns that a row must have."""
        return [c.name for c in self.encoder.numeric] + [c.name for c in self.encoder.categorical]

    def check_columns(self, names: Collection[str], where: str = "", more: tuple[str, ...] = ()) -> None:
        """Raise ValueError unless all features, and `more`, are a table's columns; `where` begins the message."""
        expected = [*self.features, *more]
        missing = [name for name in expected if name not in names]
        if missing:
            raise ValueError(f"{where}missing columns: {', '.join(missing)}; expected {', '.join(expected)}")

    def probabilities(self, table: pa.Table) -> np.ndarray:
        """Return each row's probabilities, rows x classes. Raises ValueError for a missing column or a wrong type."""
        self.check_columns(table.column_names)
        outputs = self.outputs(table)
        if self.classes.binary:
            outputs = torch.stack([torch.sigmoid(-outputs), torch.sigmoid(outputs)], 1)
        else:
            outputs = outputs.exp()
        return outputs.numpy()

    def outputs(self, table: pa.Table) -> torch.Tensor:
        """Return each row's pooled output (see model.pooled)."""
        width = () if self.classes.binary else (len(self.classes.values),)
        outputs = [torch.empty((0, *width), dtype=torch.float64)]
        for batch in table.select(self.features).to_batches(max_chunksize=ENCODED_ROWS):
            columns = {name: batch.column(name) for name in self.features}
            columns |= {c.name: parsed(columns[c.name]) for c in self.encoder.numeric}
            words = torch.from_numpy(self.encoder.encode(columns, batch.num_rows))
            split = len(self.encoder.numeric)
            size = max(1, min(BATCH_ROWS, BATCH_VALUES // max(1, words.shape[1])))
            with torch.inference_mode():
                outputs += [
                    pooled(self.net(part[:, :split].view(torch.float32), part[:, split:]))
                    for part in torch.split(words, size)
                ]
        return torch.cat(outputs)

    def answers(self, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each row's class by index, and the probability that goes with it."""
        if self.threshold is not None:
            positive = probabilities[:, 1]
            return (positive >= self.threshold).astype(np.int64), positive
        best = probabilities.argmax(1)
        return best, probabilities[np.arange(len(best)), best]


class Answer(TypedDict):
    """What the model says about one row."""

    probability: float
    label: str | bool | int | float
    probabilities: NotRequired[dict[str, float]]
    """By class, if there are more than two."""


def model_fn(model_dir: str, context: object = None) -> Model:
    """Load the artifact's folder. Raises ValueError for one that another version of this program wrote."""
    folder = Path(model_dir)
    saved = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
    if saved.get("format", 1) != FORMAT:
        made = f"{folder} has format {saved.get('format', 1)}, expected {FORMAT}"
        raise ValueError(
            f"the model was written by another version of this program ({made}). Use the code in its code/ folder"
        )
    net = TabularNet(Shape.from_json(saved["shape"]))
    net.load_state_dict(torch.load(folder / "model.pt", map_location="cpu", weights_only=True))
    encoder, classes = Encoder.from_json(saved["encoder"]), Classes.from_json(saved["classes"])
    return Model(net.eval(), encoder, classes, saved["threshold"], saved["id_name"], saved["label_name"])


def input_fn(body: bytes | str, content_type: str = "application/json", context: object = None) -> pa.Table:
    """Read a request's rows. Raises ValueError for an unsupported content type or a malformed body."""
    kind = content_type.partition(";")[0].strip().lower()
    data = body.encode() if isinstance(body, str) else body
    if kind == "text/csv":
        return _csv_table(data)
    if kind != "application/json":
        raise ValueError(f"content type {content_type} is not supported; send application/json or text/csv")
    try:
        rows = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    if isinstance(rows, dict):
        rows = rows.get("instances", [rows])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("the body must be a list of objects, one per row")
    if not rows:
        raise ValueError("the body has no rows")
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column(name, [row.get(name) for row in rows]) for name in names})


def predict_fn(table: pa.Table, model: Model, context: object = None) -> list[Answer]:
    """Answer each row."""
    probabilities, names = model.probabilities(table), model.classes.names
    labels, own = model.answers(probabilities)
    answers: list[Answer] = [
        {"probability": round(p, 6), "label": names[label]}
        for p, label in zip(own.tolist(), labels.tolist(), strict=True)
    ]
    if model.classes.binary:
        return answers
    keys = [str(value) for value in model.classes.values]
    rounded = probabilities.round(6).tolist()
    return [
        {**answer, "probabilities": dict(zip(keys, row, strict=True))}
        for answer, row in zip(answers, rounded, strict=True)
    ]


def output_fn(answers: list[Answer], accept: str = "application/json", context: object = None) -> str:
    """Write the answers as JSON, or as CSV on request."""
    if accept.partition(";")[0].strip().lower() != "text/csv":
        return json.dumps(answers)
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    classes = list(answers[0].get("probabilities", {})) if answers else []
    writer.writerow(["probability", "label", *classes])
    for answer in answers:
        label = answer["label"]
        text = label if isinstance(label, str) else json.dumps(label)
        writer.writerow([answer["probability"], text, *answer.get("probabilities", {}).values()])
    return lines.getvalue()


def _csv_table(data: bytes) -> pa.Table:
    """Return a CSV body's columns, all as strings: only the encoder knows whether 007 is a number or a name.

    This uses Python's own reader. Arrow's reads in threads, which may still hold the body when the interpreter ends and
    then abort the process (apache/arrow issue 34314).
    """
    try:
        lines = io.StringIO(data.decode("utf-8-sig"), newline="")  # spreadsheets write a byte order mark
        header, *rows = [row for row in csv.reader(lines, strict=True) if row] or [[]]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"the body is not a CSV with a header line: {error}") from None
    if not rows:
        raise ValueError("the body has no rows below its header line")
    return text_table(header, rows)


def text_table(header: list[str], rows: list[list[str]], first: int = 1) -> pa.Table:
    """Return CSV rows as columns of strings; `first` is the number of the first row. Raises ValueError."""
    twice = next((name for i, name in enumerate(header) if name in header[:i]), None)
    if twice is not None:
        raise ValueError(f"column {twice} occurs twice in the header line")
    for number, row in enumerate(rows, first):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} values; the header line has {len(header)} columns")
    columns = zip(*rows, strict=True)
    return pa.table(
        {name: pa.array([v or None for v in values], pa.string()) for name, values in zip(header, columns, strict=True)}
    )


def _column(name: str, values: list[object]) -> pa.Array:
    try:
        return pa.array(values)
    except UnicodeEncodeError:
        raise ValueError(f"column {name} contains half of a surrogate pair, which is not text") from None
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    if not all(value is None or isinstance(value, str | bool | int | float) for value in values):
        raise ValueError(f"column {name} mixes types")
    # Plain values of several types become strings; the encoder knows which of them are numbers.
    return pa.array([v if v is None or isinstance(v, str) else json.dumps(v) for v in values], pa.string())
