"""How rows are read to be scored: in bounded memory, after a look at the columns of every part."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training import predict
from training.inference import Model
from training.model import Shape, TabularNet
from training.predict import parquet_pieces, pieces
from training.table.encoding import Encoder, NumericColumn
from training.table.labels import Classes

LOCAL = pa.fs.LocalFileSystem()


def model(features: list[str]) -> Model:
    shape = Shape(
        numeric=len(features), missing=(), cardinalities=(), embedding_size=2, hidden_size=4, hidden_layers=1, dropout=0
    )
    columns = tuple(NumericColumn(name, (0.0, 1.0), (-1.0, 1.0), False) for name in features)
    classes = Classes(("no", "yes"), "text")
    return Model(TabularNet(shape).eval(), Encoder(columns, ()), classes, 0.5, "id", "y")


def write(path: Path, columns: dict[str, Any]) -> None:
    table = pa.table(columns)
    pq.write_table(table, path, row_group_size=table.num_rows)


def test_three_times_the_rows_in_one_row_group_take_no_more_memory(tmp_path: Path) -> None:
    names, random = [f"n{i}" for i in range(6)], np.random.default_rng(0)

    def most(rows: int) -> int:
        write(tmp_path / "rows.parquet", {"id": np.arange(rows), **{name: random.random(rows) for name in names}})
        before, found, seen = pa.total_allocated_bytes(), 0, 0
        for piece in parquet_pieces(LOCAL, str(tmp_path / "rows.parquet"), model(names)):
            found = max(found, pa.total_allocated_bytes() - before)
            seen += piece.num_rows
        assert seen == rows
        return found

    assert most(900_000) < 1.1 * most(300_000)


def test_parts_are_looked_at_before_the_first_row_is_scored(tmp_path: Path) -> None:
    write(tmp_path / "part-0.parquet", {"id": [1, 2], "a": [0.1, 0.2], "b": [0.3, 0.4]})
    write(tmp_path / "part-1.parquet", {"id": [3], "a": [0.5]})
    with pytest.raises(ValueError, match=r"part-1\.parquet: missing columns: b; expected a, b"):
        next(pieces(model(["a", "b"]), tmp_path))


def test_missing_numbers_of_a_csv_file_are_those_of_parquet(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\nNA,0.5\n,1\nnull,2\nn/a,3\n0.25,NaN\n")
    write(tmp_path / "rows.parquet", {"a": [None, None, None, None, 0.25], "b": [0.5, 1, 2, 3, None]})
    scorer = model(["a", "b"])
    [from_csv], [from_parquet] = (pieces(scorer, tmp_path / f"rows.{kind}") for kind in ("csv", "parquet"))
    assert from_csv.equals(from_parquet)
    (tmp_path / "rows.csv").write_text("a,b\nnone of these,0.5\n")
    with pytest.raises(ValueError, match=r"column a must be numeric, found string \('none of these'\)"):
        next(pieces(scorer, tmp_path / "rows.csv"))


@pytest.mark.parametrize("name", ["rows.csv", "rows.CSV.gz", "rows.csv.bz2", "rows.tsv", "rows.tsv.zst"])
def test_texts_are_read_as_their_name_says(tmp_path: Path, name: str) -> None:
    """The first column has no name, as R and pandas write it."""
    lines = ",id,a\n1,x,0.5\n2,y,1.5\n"
    lines = lines.replace(",", "\t") if ".tsv" in name else lines
    compression = "gzip" if name.endswith("gz") else "detect"
    with pa.output_stream(str(tmp_path / name), compression=compression) as file:
        file.write(lines.encode())
    [answers] = pieces(model(["a"]), tmp_path / name)
    assert answers["id"].to_pylist() == ["x", "y"]


@pytest.mark.parametrize(("name", "separator"), [("rows.csv", ";"), ("rows.csv", "\t"), ("rows.tsv", ",")])
def test_the_header_shows_another_separator(
    tmp_path: Path, name: str, separator: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ['id|a|"b,\tc"', "x|0.5|1", "y|1.5|2"]
    (tmp_path / name).write_text("\n".join(lines).replace("|", separator))
    [answers] = pieces(model(["a"]), tmp_path / name)
    assert answers["id"].to_pylist() == ["x", "y"]
    assert f"is separated by {separator!r}" in capsys.readouterr().err


def test_the_id_is_of_one_type_and_in_all_parts(tmp_path: Path) -> None:
    write(tmp_path / "part-0.parquet", {"id": pa.array([1, 2], pa.int64()), "a": [0.1, 0.2]})
    write(tmp_path / "part-1.parquet", {"id": pa.array([3], pa.int32()), "a": [0.5]})
    found = pa.concat_tables(pieces(model(["a"]), tmp_path))
    assert (found["id"].type, found["id"].to_pylist()) == (pa.int64(), [1, 2, 3])
    write(tmp_path / "part-2.parquet", {"a": [0.5]})
    with pytest.raises(ValueError, match="column id must be in all parts or in none"):
        next(pieces(model(["a"]), tmp_path))


def test_values_of_another_type_are_one_line_and_leave_no_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "rows.parquet", {"id": [1, 2], "a": ["0.1", "many"]})
    monkeypatch.setattr(predict, "load", lambda _: model(["a"]))
    assert predict.main(["model", str(tmp_path / "rows.parquet"), str(tmp_path / "answers.parquet")]) == 1
    assert capsys.readouterr().err == "Error: column a must be numeric, found string ('many')\n"
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.csv", b'id,a\n1,2\n2,"3\n', "rows.csv is not a CSV file: line 3: unexpected end of data"),
        (
            "rows.csv",
            b"id,a,b\n1,2,caf\xe9\n",
            "rows.csv is not a CSV file in UTF-8: 'utf-8' codec can't decode byte 0xe9",
        ),
        ("rows.csv", "id,a\n1,2\n".encode("utf-16"), "rows.csv is not a CSV file in UTF-8"),
        ("rows.parquet", b"id,a\n1,2\n", "rows.parquet is not a complete parquet file: "),
        ("rows.parquet", b"", "rows.parquet is not a complete parquet file: "),
    ],
)
def test_a_file_of_another_kind_is_named_in_one_line(
    name: str,
    content: bytes,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(predict, "load", lambda _: model(["a"]))
    assert predict.main(["model", str(tmp_path / name)]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_folder_without_parts_has_no_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no rows"):
        next(pieces(model(["a"]), tmp_path))


def test_a_model_of_another_program_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The champion of a group may have been registered by another tool."""
    write(tmp_path / "rows.parquet", {"a": [1.0]})
    foreign, text = tmp_path / "model.tar.gz", tmp_path / "model.txt"
    text.write_text("a model")
    with tarfile.open(foreign, "w:gz") as archive:
        archive.add(text, "xgboost-model")
    assert predict.main([str(foreign), str(tmp_path / "rows.parquet")]) == 1
    assert predict.main([str(text), str(tmp_path / "rows.parquet")]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert (
        first == f"Error: {foreign} is not a model of this program: expected preprocess.json, found ['xgboost-model']"
    )
    assert second.startswith(f"Error: {text} is not a tar archive: ")
