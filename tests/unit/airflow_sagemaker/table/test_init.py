"""`init`: what is decided of a table, what is refused, and the two files that come out."""

from __future__ import annotations

import json
import math
import os
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from airflow_sagemaker import PytorchTrainingConfig
from airflow_sagemaker.cli import main
from tests.support.tables import customers, write_parquet


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(capsys: pytest.CaptureFixture[str], *arguments: str, label: str = "churned") -> dict[str, Any]:
    code = main(["init", *arguments, "--label", label, "--json"])
    data = json.loads(capsys.readouterr().out)
    assert code == (0 if data["ok"] else 2), data
    return dict(data)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, label: str = "churned") -> str:
    message = init(capsys, *arguments, label=label).get("message", "")
    assert message
    assert "\n" not in message, "one line with what to do"
    assert not Path("dags").exists(), "nothing is written"
    return str(message)


def test_a_table_becomes_a_valid_configuration_and_a_dag_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(Path("Churn 2025.parquet"), customers())
    data = init(capsys, "Churn 2025.parquet")
    assert data["warnings"] == []
    assert data["files"] == ["dags/churn-2025.yaml", "dags/churn-2025.py"]
    config = PytorchTrainingConfig.from_yaml("dags/churn-2025.yaml")
    fields = config.hyperparameters
    assert (fields.id_name, fields.label_name) == ("customer_id", "churned")
    assert (fields.tab_field_list, fields.cat_field_list) == (("age", "balance"), ("country",))
    assert list(data["left_out"]) == ["signup"]
    assert "weekday" in data["left_out"]["signup"]
    compile(Path("dags/churn-2025.py").read_text(), "churn-2025.py", "exec")


def test_the_terminal_says_what_was_decided_and_what_comes_next(capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(Path("churn.parquet"), customers())
    assert main(["init", "churn.parquet", "--label", "churned"]) == 0
    out = capsys.readouterr().out
    for said in ("400 rows", "label       churned: 2 classes", "positive: 1, the later one",
                 "customer_id (one per row)", "signup contains dates",
                 "python -m airflow_sagemaker split churn.parquet dags/churn.yaml"):  # fmt: skip
        assert said in out


@pytest.mark.parametrize("kind", ["csv", "folder"])
def test_csv_and_folders_of_parquet_give_the_same_decisions(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = pa.table(customers())
    write_parquet(Path("one.parquet"), customers())
    if kind == "csv":
        from pyarrow import csv

        csv.write_csv(table, "other.csv")
        name = "other.csv"
    else:
        name = "other"
        for number in range(4):
            write_parquet(Path(name) / f"part-{number}.parquet", table.slice(number * 100, 100).to_pydict())
        (Path(name) / "_SUCCESS").touch()
    kept = ("rows", "classes", "id", "numbers", "categories")
    expected = init(capsys, "one.parquet")
    found = init(capsys, name)
    assert {key: found[key] for key in kept} == {key: expected[key] for key in kept}


def test_a_leak_an_identifier_and_an_empty_column_are_no_features(capsys: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(1)
    table = customers()
    table["closed_amount"] = [label * 100 + draw.random() for label in table["churned"]]
    table["account_id"] = [10_000 + 3 * n for n in range(400)]
    table["comment"] = [f"text {n}" for n in range(400)]
    table["empty"] = pa.nulls(400, pa.float64()).to_pylist()
    table["same"] = [7] * 400
    table["tags"] = [["a"]] * 400
    table["endless"] = [math.inf if n == 5 else float(n % 9) for n in range(400)]
    write_parquet(Path("churn.parquet"), table)
    data = init(capsys, "churn.parquet", "--id", "customer_id")
    assert {*data["left_out"]} == {
        "closed_amount", "account_id", "comment", "empty", "same", "tags", "signup", "endless",
    }  # fmt: skip
    assert "AUC" in data["left_out"]["closed_amount"]
    assert (data["numbers"], data["categories"]) == (["age", "balance"], ["country"])


def test_what_a_name_or_a_text_gives_away(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns of tables that packages ship, each of which was once decided wrongly."""
    table = customers(
        **{
            "signup": None,
            "amount_paid": [n * 3 for n in range(400)],
            "StoreID": [n % 5 for n in range(400)],
            "Individual ID": [f"N{n % 250}" for n in range(400)],
            "visited": [f"{1 + n % 12}/{1 + n % 28}/2024" for n in range(400)],
            "opened": [f"{1 + n % 28:02}jan{1980 + n % 30}" for n in range(400)],
            "began": [f"Jan {1 + n % 28} {1990 + n % 30}" for n in range(400)],
            "number": [*range(1, 401)],
            "ticket_no": [7 * n for n in range(400)],
            "flight_number": [n % 90 for n in range(400)],
            "visitor_id": [n % 60 for n in range(400)],
            "updated": [f"2024/01/{1 + n % 28:02} 12:{n % 60:02}" for n in range(400)],
            "price": [f"$1,{n:03}.50" for n in range(400)],
            "weight": ["?" if n % 9 == 0 else str(n / 8) for n in range(400)],
            "score": ["?" if n % 9 == 0 else str(n % 5) for n in range(400)],
            "zip": [f"{n % 40:05}" for n in range(400)],
            "version": [f"1.2.{n % 20}" for n in range(400)],
        }
    )
    write_parquet(Path("churn.parquet"), table)
    assert main(["init", "churn.parquet", "--label", "churned", "--json"]) == 0
    printed = capsys.readouterr()
    data = json.loads(printed.out)
    assert data["numbers"] == ["age", "balance", "amount_paid", "flight_number"]
    assert data["left_out"]["number"] == "numbers the rows"
    assert {"ticket_no", "visitor_id", "Individual ID"} <= {*data["left_out"]}
    assert data["categories"] == ["country", "StoreID", "score", "zip", "version"]
    times = {name for name, reason in data["left_out"].items() if "dates or times" in reason}
    assert times == {"visited", "opened", "began", "updated"}
    assert data["left_out"]["price"] == "contains numbers as text: write plain numbers"
    assert data["left_out"]["weight"] == "contains numbers as text, but also '?': leave those cells empty"
    assert any("score is taken as a category" in warning for warning in data["warnings"])
    assert any("--by-group 'Individual ID'" in warning for warning in data["warnings"])
    assert main(["init", "churn.parquet", "--label", "churned", "--name", "again"]) == 0
    assert "dags/again.yaml --bucket BUCKET --by-group 'Individual ID'" in capsys.readouterr().out


def test_rows_are_numbered_where_no_column_identifies_them(capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(Path("churn.parquet"), customers(customer_id=None))
    assert init(capsys, "churn.parquet")["id"] == "row_number"


def test_an_id_that_only_its_values_suggest_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"Person {n}" for n in range(400)]
    write_parquet(Path("churn.parquet"), customers(customer_id=None, name=names))
    data = init(capsys, "churn.parquet")
    assert data["id"] == "name"
    assert data["warnings"] == [
        "name is taken as the id because each row has a different value: "
        "use --id COLUMN for another column, or --id row_number to number the rows"
    ]
    numbered = init(capsys, "churn.parquet", "--id", "row_number", "--name", "numbered")
    assert (numbered["id"], numbered["warnings"]) == ("row_number", [])
    assert "free text" in numbered["left_out"]["name"]


@pytest.mark.parametrize("name", ["pidnum", "X", "Passenger no"])
def test_row_numbers_are_an_id_whatever_their_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = [*range(1, 401)] if name == "X" else [7 * n for n in range(400)]
    write_parquet(Path("churn.parquet"), customers(**{"customer_id": None, name: numbers}))
    assert init(capsys, "churn.parquet")["id"] == name


def test_names_that_yaml_reads_otherwise_stay_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table = customers(balance=None, age=None)
    odd = ["yes", "1", "null", "a: b", "# c", "-", "é 'quoted'", "2024-01-01"]
    for name in odd:
        table[name] = [n % 17 for n in range(400)]
    write_parquet(Path("churn.parquet"), table)
    init(capsys, "churn.parquet")
    assert [*PytorchTrainingConfig.from_yaml("dags/churn.yaml").hyperparameters.tab_field_list] == odd
    write_parquet(Path("no.parquet"), table)
    init(capsys, "no.parquet")
    assert PytorchTrainingConfig.from_yaml("dags/no.yaml").pipeline_name == "no"


@pytest.mark.parametrize("name", ["new\nline", "a\tb", "a\x00b", "\x1b[31m", "{{ ds }}", "{% if x %}", "{# x #}"])
def test_a_column_that_no_configuration_can_name_is_left_out(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(Path("churn.parquet"), {name: [n % 17 for n in range(400)], **customers()})
    assert main(["init", "churn.parquet", "--label", "churned"]) == 0
    out = capsys.readouterr().out
    assert "rename it" in out
    assert not any(char in out.replace("\n", "") for char in "\t\x00\x1b"), "nothing that a terminal would act on"
    assert PytorchTrainingConfig.from_yaml("dags/churn.yaml").hyperparameters.tab_field_list == ("age", "balance")


def test_a_column_without_a_name_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """The row numbers that R and pandas write; a text far below moves no other column."""
    lines = [f"{n},{n % 2},{n % 7},{n % 5}\n" for n in range(700_000)]
    Path("r.csv").write_text('"","churned","code","z"\n' + "".join(lines) + "700000,1,unknown,x\n")
    data = init(capsys, "r.csv")
    assert (data["id"], data["categories"]) == ("row_number", ["code", "z"])
    assert data["left_out"] == {"(column 1)": "has no name"}


def test_ten_thousand_columns(capsys: pytest.CaptureFixture[str]) -> None:
    table = customers(60) | {f"c{n}": [float((row * n) % 13) for row in range(60)] for n in range(10_000)}
    write_parquet(Path("wide.parquet"), table)
    data = init(capsys, "wide.parquet")
    assert len(data["numbers"]) > 9_000
    assert len(PytorchTrainingConfig.from_yaml("dags/wide.yaml").hyperparameters.tab_field_list) > 9_000


def test_a_text_far_below_numbers_makes_a_csv_column_text(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{n},{n % 2},{n % 7},x\n" for n in range(700_000)]
    Path("long.csv").write_text("id,churned,code,z\n" + "".join(lines) + "700000,1,unknown,x\n")
    data = init(capsys, "long.csv")
    assert (data["rows"], data["categories"]) == (700_001, ["code"])


@pytest.mark.parametrize(
    ("name", "separator", "said"),
    [
        ("customers.csv", ";", "customers.csv is separated by ';', not ','"),
        ("customers.csv", "\t", r"customers.csv is separated by '\t', not ','"),
        ("customers.tsv", "|", r"customers.tsv is separated by '|', not '\t'"),
        ("customers.tsv", "\t", ""),
    ],
)
def test_the_header_shows_the_separator(
    name: str, separator: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    header = ["customer_id", "churned", '"age, years"' if separator == ";" else "age", "price"]
    rows = [[f"c{n}", str(n % 2), str(n % 50), f'"{n % 5},5"'] for n in range(400)]
    Path(name).write_text("".join(separator.join(line) + "\n" for line in [header, *rows]))
    assert main(["init", name, "--label", "churned"]) == 0
    shown = capsys.readouterr()
    assert header[2].strip('"') in shown.out.partition("numbers     1: ")[2]
    assert "price is taken as a category because it contains numbers as text; write plain numbers" in shown.err
    assert main(["split", name, "dags/customers.yaml", "--to", "out"]) == 0
    assert pq.read_table("out").num_rows == 400
    assert [line for line in shown.err.splitlines() if "separated" in line] == [said] * bool(said)
    assert capsys.readouterr().err.strip() == said


def test_files_that_exist_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(Path("churn.parquet"), customers())
    for mine in ("churn.yaml", "churn.py"):
        Path("dags").mkdir(exist_ok=True)
        (Path("dags") / mine).write_text("mine")
        assert "nothing is overwritten" in init(capsys, "churn.parquet")["message"]
        assert [(path.name, path.read_text()) for path in Path("dags").iterdir()] == [(mine, "mine")]
        (Path("dags") / mine).unlink()
    (Path("dags") / "churn.yaml").symlink_to("nowhere")
    assert "nothing is overwritten" in init(capsys, "churn.parquet")["message"]


NULLS = [None] * 400
BAD_COLUMNS: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "no label": ({"churned": NULLS}, (), "has no value"),
    "one class": ({"churned": [1] * 400}, (), "one value only"),
    "500 classes": ({"churned": [*range(400)]}, (), "bin it"),
    "many texts": ({"churned": [f"c{n}" for n in range(400)]}, (), "merge the rare ones"),
    "a quantity": ({"churned": [n / 7 if n < 90 else 0.0 for n in range(400)]}, (), "occur only once"),
    "an id that is a template": ({"{{ ds }}": [*range(400)]}, ("--id", "{{ ds }}"), "rename it"),
    "dates as label": ({"churned": customers()["signup"]}, (), "expected numbers, booleans or texts"),
    "an id that repeats": ({"customer_id": [*["a", *map(str, range(399))][:398], "0", "0"]}, ("--id", "customer_id"),
                           "is not an identifier"),
    "an id with gaps": ({"customer_id": [None, *map(str, range(399))]}, ("--id", "customer_id"), "have no value"),
    "a float as id": ({}, ("--id", "balance"), "expected integers or texts"),
    "label as id": ({}, ("--id", "churned"), "cannot be both"),
    "a misspelt id": ({}, ("--id", "custmer_id"), "did you mean customer_id?"),
    "a schedule": ({}, ("--schedule", "@fortnightly"), "expected one of @hourly"),
    "a cron expression": ({}, ("--schedule", "99 * * * *"), "rejected by Airflow"),
    "a name": ({}, ("--name", "../x"), "must have lower-case letters"),
    "nothing but nested columns": (
        {"age": None, "balance": None, "signup": None, "country": [["x"]] * 400}, (), "no column to learn from"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_COLUMNS)
def test_bad_columns_are_refused_in_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    changes, arguments, text = BAD_COLUMNS[case]
    write_parquet(Path("churn.parquet"), customers(**changes))
    assert text in refused(capsys, "churn.parquet", *arguments)


def test_a_misspelt_label(capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(Path("churn.parquet"), customers())
    assert "did you mean churned?" in refused(capsys, "churn.parquet", label="churn")


def bad_file(case: str) -> str:
    if case == "duplicate names":
        table = pa.table(customers())
        pq.write_table(table.append_column("age", table["age"]), "x.parquet")
        return "x.parquet"
    if case == "different columns":
        write_parquet(Path("x/1.parquet"), customers())
        write_parquet(Path("x/2.parquet"), customers(age=None))
        return "x"
    if case == "one row":
        write_parquet(Path("x.parquet"), customers(1))
        return "x.parquet"
    contents = {
        "no table.parquet": "hello", "empty.csv": "", "twice.csv": "churned,a,a\n1,2,3\n", "no table.csv": "\x00\x01",
        "plain.csv.gz": "a,churned\n1,0\n",
        "text.txt": "a,b\n1,2\n",
    }  # fmt: skip
    lines = "".join(f"{n},é{n % 3},{n % 2}\n" for n in range(40))
    encoded = {
        "latin header.csv": ("größe,b,churned\n" + lines.replace("é", ""), "latin-1"),
        "latin values.csv": ("a,b,churned\n" + lines, "latin-1"),
        "latin far below.csv": ("a,b,churned\n" + "1,x,0\n" * 1_500_000 + lines, "latin-1"),
        "utf16.csv": ("a,b,churned\n" + lines, "utf-16"),
        "nameless.csv": (",\n1,2\n", "utf-8"),
    }
    contents |= dict.fromkeys(encoded, "")
    if case in contents:
        text, encoding = encoded.get(case, (contents[case], "utf-8"))
        Path(case).write_text(text, encoding=encoding)
    if case == "a folder without parquet":
        Path(case).mkdir()
    if case == "torn.parquet":
        whole = write_parquet(Path("whole.parquet"), customers()).read_bytes()
        Path(case).write_bytes(whole[: len(whole) // 2])
    return case


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("duplicate names", "rename them"),
        ("different columns", "have different columns: age"),
        ("one row", "has 1 row; a training needs at least 20"),
        ("no table.parquet", "is not a Parquet file"),
        ("torn.parquet", "is not a Parquet file"),
        ("text.txt", "or a name that ends in .csv"),
        ("latin header.csv", "iconv -f WINDOWS-1252 -t UTF-8 'latin header.csv' > 'latin header-utf8.csv'"),
        ("latin values.csv", "not UTF-8 text"),
        ("latin far below.csv", "not UTF-8 text"),
        ("utf16.csv", "iconv -f UTF-16"),
        ("nameless.csv", "no column with a name"),
        ("empty.csv", "is empty"),
        ("twice.csv", "duplicate columns: a"),
        ("no table.csv", "is not a CSV file"),
        ("plain.csv.gz", "is not a CSV file"),
        ("a folder without parquet", "contains no .parquet file"),
        ("nowhere.parquet", "no such file or folder"),
        ("s3://bucket/table.parquet", "download it first"),
    ],
)
def test_bad_files_are_refused_in_one_line(case: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert text in refused(capsys, bad_file(case))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(Path("churn.parquet"), customers())
    Path("closed").mkdir(mode=0o500)
    assert "cannot be written" in init(capsys, "churn.parquet", "--dags-folder", "closed/dags")["message"]


def test_the_limits_are_those_of_the_training_program() -> None:
    pytest.importorskip("numpy")
    from airflow_sagemaker.table import decisions
    from preprocessing.spec import Limits
    from training.table import labels

    assert decisions.MOST_CLASSES == labels.MOST_CLASSES
    assert Limits().max_single_auc == decisions.SUSPICIOUS_AUC


def test_yaml_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(Path("churn.parquet"), customers())
    init(capsys, "churn.parquet", "--schedule", "none")
    assert yaml.safe_load(Path("dags/churn.yaml").read_text())["pipeline_name"] == "churn"
    assert "schedule=None" in Path("dags/churn.py").read_text()
