"""The tables: one migration per version, never edited. `PRAGMA user_version` is the number of migrations applied."""

from __future__ import annotations

_FIRST = """
CREATE TABLE pipelines (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    arn TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    description TEXT,
    role_arn TEXT NOT NULL,
    parallelism INTEGER,
    created REAL NOT NULL,
    modified REAL NOT NULL,
    last_run REAL
);
CREATE TABLE versions (
    pipeline TEXT NOT NULL REFERENCES pipelines(arn) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    definition TEXT NOT NULL,
    created REAL NOT NULL,
    display_name TEXT,
    description TEXT,
    last_execution TEXT,
    PRIMARY KEY (pipeline, version)
);
CREATE TABLE aliases (
    pipeline TEXT NOT NULL,
    alias TEXT NOT NULL,
    version INTEGER NOT NULL,
    added INTEGER NOT NULL,
    PRIMARY KEY (pipeline, alias),
    FOREIGN KEY (pipeline, version) REFERENCES versions(pipeline, version) ON DELETE CASCADE
);
CREATE TABLE executions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    id TEXT NOT NULL UNIQUE,
    pipeline TEXT NOT NULL REFERENCES pipelines(arn) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    display_name TEXT,
    description TEXT,
    status TEXT NOT NULL,
    failure_reason TEXT,
    role_arn TEXT NOT NULL,
    parameters TEXT NOT NULL,
    parallelism INTEGER,
    created REAL NOT NULL,
    modified REAL NOT NULL,
    FOREIGN KEY (pipeline, version) REFERENCES versions(pipeline, version) ON DELETE CASCADE
);
CREATE INDEX executions_by_pipeline ON executions(pipeline, created, seq);
CREATE INDEX executions_by_version ON executions(pipeline, version, created, seq);
CREATE INDEX executions_live ON executions(status) WHERE status IN ('Executing', 'Stopping');
CREATE TABLE steps (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    execution TEXT NOT NULL REFERENCES executions(arn) ON DELETE CASCADE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    started REAL NOT NULL,
    ended REAL,
    failure_reason TEXT,
    attempt INTEGER NOT NULL,
    not_before REAL,
    job TEXT,
    metadata TEXT NOT NULL,
    properties TEXT NOT NULL,
    cache_key TEXT,
    cache_source TEXT,
    UNIQUE (execution, name)
);
CREATE INDEX steps_by_job ON steps(job);
CREATE INDEX steps_by_cache_key ON steps(cache_key, ended) WHERE cache_key IS NOT NULL;
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    live INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    request TEXT NOT NULL,
    description TEXT NOT NULL,
    created REAL NOT NULL,
    modified REAL NOT NULL,
    UNIQUE (kind, name)
);
CREATE INDEX jobs_by_created ON jobs(kind, created, seq);
CREATE INDEX jobs_live ON jobs(live) WHERE live = 1;
CREATE TABLE resources (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    parent TEXT,
    description TEXT NOT NULL,
    created REAL NOT NULL,
    modified REAL NOT NULL,
    last_version INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, name)
);
CREATE INDEX resources_by_parent ON resources(kind, parent, created, seq);
CREATE TABLE tokens (
    action TEXT NOT NULL,
    token TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    resource TEXT,
    response TEXT NOT NULL,
    created REAL NOT NULL,
    PRIMARY KEY (action, token)
);
CREATE INDEX tokens_by_resource ON tokens(resource);
CREATE TABLE tags (
    arn TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (arn, key)
)
"""

_CASE = """
CREATE UNIQUE INDEX pipelines_by_name ON pipelines(name COLLATE NOCASE)
"""

_REGIONS = """
CREATE TABLE pipelines_new (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    arn TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    description TEXT,
    role_arn TEXT NOT NULL,
    parallelism INTEGER,
    created REAL NOT NULL,
    modified REAL NOT NULL,
    last_run REAL
);
INSERT INTO pipelines_new SELECT * FROM pipelines;
DROP TABLE pipelines;
ALTER TABLE pipelines_new RENAME TO pipelines;
CREATE UNIQUE INDEX pipelines_by_arn ON pipelines(arn COLLATE NOCASE);
CREATE TABLE jobs_new (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    live INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    request TEXT NOT NULL,
    description TEXT NOT NULL,
    created REAL NOT NULL,
    modified REAL NOT NULL
);
INSERT INTO jobs_new SELECT * FROM jobs;
DROP TABLE jobs;
ALTER TABLE jobs_new RENAME TO jobs;
CREATE INDEX jobs_by_created ON jobs(kind, created, seq);
CREATE INDEX jobs_live ON jobs(live) WHERE live = 1;
CREATE TABLE resources_new (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    parent TEXT,
    description TEXT NOT NULL,
    created REAL NOT NULL,
    modified REAL NOT NULL,
    last_version INTEGER NOT NULL DEFAULT 0
);
INSERT INTO resources_new SELECT seq, arn, kind, name,
    (SELECT groups.arn FROM resources AS groups
        WHERE groups.kind = 'model-package-group' AND groups.name = resources.parent),
    description, created, modified, last_version FROM resources;
DROP TABLE resources;
ALTER TABLE resources_new RENAME TO resources;
CREATE INDEX resources_by_parent ON resources(kind, parent, created, seq)
"""
"""Names become unique per region instead of globally, and a package's parent becomes its group's ARN."""

_CALLBACKS = """
ALTER TABLE steps ADD COLUMN callback_token TEXT;
CREATE UNIQUE INDEX steps_by_callback_token ON steps(callback_token) WHERE callback_token IS NOT NULL;
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    step INTEGER NOT NULL REFERENCES steps(seq) ON DELETE CASCADE,
    queue TEXT NOT NULL,
    body TEXT NOT NULL,
    created REAL NOT NULL,
    delivered REAL
);
CREATE INDEX messages_by_step ON messages(step);
CREATE INDEX messages_waiting ON messages(seq) WHERE delivered IS NULL
"""

_LAMBDAS = """
CREATE TABLE invocations (
    step INTEGER PRIMARY KEY REFERENCES steps(seq) ON DELETE CASCADE,
    function TEXT NOT NULL,
    event TEXT NOT NULL,
    begun REAL
)
"""

_TUNINGS = """
ALTER TABLE jobs ADD COLUMN tuning TEXT;
ALTER TABLE jobs ADD COLUMN trial INTEGER;
ALTER TABLE jobs ADD COLUMN tuned TEXT;
ALTER TABLE jobs ADD COLUMN objective REAL;
CREATE INDEX jobs_by_tuning ON jobs(tuning, trial) WHERE tuning IS NOT NULL
"""
"""For the training jobs of a tuning job: its ARN, the trial, the hyperparameters, and the objective."""

MIGRATIONS: tuple[str, ...] = (_FIRST, _CASE, _REGIONS, _CALLBACKS, _LAMBDAS, _TUNINGS)
