"""The database: transactions, and schemas of earlier and later versions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from local_sagemaker.errors import StartError
from local_sagemaker.store.database import Database
from local_sagemaker.store.schema import MIGRATIONS


def test_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    db = Database(tmp_path / "d.db")

    def half() -> None:
        with db.write() as connection:
            connection.execute("INSERT INTO tags VALUES ('a', 'b', 'c')")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert db.read().execute("SELECT count(*) FROM tags").fetchone()[0] == 0


def test_failed_commit_does_not_swallow_the_next_write(tmp_path: Path) -> None:
    database = Database(tmp_path / "test.db")

    def orphan() -> None:
        with database.write() as connection:
            connection.execute("PRAGMA defer_foreign_keys=ON")  # found out at COMMIT
            connection.execute(
                "INSERT INTO versions (pipeline, version, definition, created) VALUES ('none', 1, '', 0)"
            )

    with pytest.raises(sqlite3.IntegrityError):
        orphan()
    with database.write() as connection:
        connection.execute("INSERT INTO tags VALUES ('arn', 'key', 'value')")
    assert [row["key"] for row in database.read().execute("SELECT key FROM tags")] == ["key"]
    assert database.read().execute("SELECT * FROM versions").fetchall() == []


def test_newer_database_is_refused(tmp_path: Path) -> None:
    db = Database(tmp_path / "d.db")
    with db.write() as connection:
        connection.execute("PRAGMA user_version=999")
    db.close()
    with pytest.raises(StartError, match="newer version"):
        Database(tmp_path / "d.db")


def test_rows_of_an_earlier_schema_are_kept(tmp_path: Path) -> None:
    """Tables are rebuilt on the way: what refers to their rows must still be there, and still go with them."""
    path = tmp_path / "d.db"
    connection = sqlite3.connect(path)
    for script in MIGRATIONS[:2]:
        connection.executescript(script)
    connection.executescript("""
        PRAGMA user_version=2;
        INSERT INTO pipelines (name, arn, display_name, role_arn, created, modified) VALUES ('p', 'A', 'p', 'r', 1, 1);
        INSERT INTO versions (pipeline, version, definition, created) VALUES ('A', 1, '{}', 1);
        INSERT INTO aliases VALUES ('A', 'live', 1, 1);
        INSERT INTO executions (arn, id, pipeline, version, status, role_arn, parameters, created, modified)
            VALUES ('A/execution/x', 'x', 'A', 1, 'Succeeded', 'r', '{}', 1, 1);
        INSERT INTO jobs (arn, kind, name, status, live, begun, request, description, created, modified)
            VALUES ('J', 'training', 'j', 'Completed', 0, 1, '{}', '{}', 1, 1);
        INSERT INTO resources (arn, kind, name, description, created, modified, last_version)
            VALUES ('G', 'model-package-group', 'g', '{}', 1, 1, 4);
        INSERT INTO resources (arn, kind, name, parent, description, created, modified)
            VALUES ('P', 'model-package', 'g/4', 'g', '{}', 1, 1);
    """)
    connection.close()
    db = Database(path)
    counts = {
        table: db.read().execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("pipelines", "versions", "aliases", "executions", "jobs", "resources")
    }
    assert counts == {"pipelines": 1, "versions": 1, "aliases": 1, "executions": 1, "jobs": 1, "resources": 2}
    assert db.read().execute("SELECT parent FROM resources WHERE arn = 'P'").fetchone()[0] == "G"
    with db.write() as writer:
        assert writer.execute("PRAGMA foreign_key_check").fetchall() == []
        writer.execute("DELETE FROM pipelines")
    assert db.read().execute("SELECT count(*) FROM executions").fetchone()[0] == 0
