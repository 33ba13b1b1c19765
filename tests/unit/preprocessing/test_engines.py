"""One program, two engines: Spark builds and writes the table that Polars builds, late rates included."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from preprocessing import engines, output, program
from preprocessing.errors import EngineError
from preprocessing.flights.table import FLIGHTS
from preprocessing.window import Window

ROOT = Path(__file__).resolve().parents[3]
NO_SPARK = importlib.util.find_spec("pyspark") is None
NO_JAVA = shutil.which("java") is None and "JAVA_HOME" not in os.environ


@pytest.mark.slow  # many small Spark jobs: a minute or more on a busy machine
@pytest.mark.timeout(1200)
@pytest.mark.skipif(NO_SPARK, reason="pyspark is not installed: pip install pyspark==4.3.0")
@pytest.mark.skipif(NO_JAVA, reason="there is no Java, which Spark needs: 17 or later")
def test_both_engines_write_the_same_splits(raw_folder: Path, tmp_path: Path, window: Window) -> None:
    results = {}
    for engine in engines.ENGINES:
        options = ["--raw", str(raw_folder), "--output", str(tmp_path / engine), "--partition", str(window.partition)]
        lengths = ["--days", str(window.days), "--val-days", str(window.val_days), "--test-days", str(window.test_days)]
        command = [sys.executable, "-m", "preprocessing", "local", "--engine", engine, *options, *lengths]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        results[engine] = json.loads(done.stdout)
    findings = {engine: result.pop("checks") for engine, result in results.items()}
    assert results["spark"] == results["polars"]
    assert [f["value"] for f in findings["spark"]] == pytest.approx([f["value"] for f in findings["polars"]])
    assert sum(results["spark"]["rows"].values()) > 300
    assert (tmp_path / "spark" / output.MANIFEST).is_file()
    for split in output.SPLITS:
        on_spark, on_polars = (pl.read_parquet(tmp_path / engine / output.split_key(split)) for engine in results)
        assert_frame_equal(on_spark, on_polars, check_exact=False, rel_tol=1e-12)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(NO_SPARK or NO_JAVA, reason="pyspark or Java is not installed")
def test_spark_builds_the_pieces_of_a_window_in_one_session(raw_folder: Path, tmp_path: Path, window: Window) -> None:
    program.preprocess(FLIGHTS, raw_folder, tmp_path / "whole", window)
    program.preprocess(FLIGHTS, raw_folder, tmp_path / "pieces", window, engines.SPARK, chunk_rows=1200)
    for split in output.SPLITS:
        pieces, whole = (pl.read_parquet(tmp_path / name / output.split_key(split)) for name in ("pieces", "whole"))
        assert_frame_equal(pieces, whole, check_exact=False, rel_tol=1e-12)


@pytest.mark.parametrize(
    ("lacking", "message"), [("pyspark", "pip install pyspark==4.3.0"), ("java", "requires Java 17 or later")]
)
def test_a_missing_spark_is_named_with_what_to_install(
    lacking: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == lacking else object())
    with pytest.raises(EngineError, match=message):
        engines.spark_session(threads=1, folder=tmp_path)
