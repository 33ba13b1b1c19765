"""One program, two engines: Spark builds the table that Polars builds, late rates included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from preprocessing import engines, features, raw
from preprocessing.window import Window

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # many small Spark jobs: minutes, more on a busy machine


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("pyspark", reason="pyspark is not installed: pip install pyspark==4.3.0 (needs Java 17)")
    session = engines.local_spark(threads=1, folder=tmp_path_factory.mktemp("spark"))
    yield session
    session.stop()


def test_both_engines_build_the_same_table(spark: Any, raw_folder: Path, window: Window) -> None:
    files = raw.checked_files(raw_folder, window)
    on_polars = features.build(engines.polars_tables(files), window).collect().to_native().sort("flight_id")
    frame = features.build(engines.spark_tables(spark, files), window).to_native()
    on_spark = pl.DataFrame(pl.from_arrow(frame.toArrow())).sort("flight_id")
    assert on_polars.height > 300
    assert_frame_equal(on_spark, on_polars, check_dtypes=False, check_exact=False, rel_tol=1e-12)
