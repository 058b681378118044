-- Moments are text, ISO 8601 UTC with microseconds, so that they sort as they read.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE configs (
    hash        TEXT PRIMARY KEY,
    text        TEXT NOT NULL,              -- redacted
    accepted_at TEXT NOT NULL
);

CREATE TABLE model_references (
    model         TEXT NOT NULL,
    seq           INTEGER NOT NULL,         -- 1, 2, …: the highest is the current one
    id            TEXT NOT NULL,
    model_version TEXT,
    origin        TEXT NOT NULL,
    since         TEXT NOT NULL,
    installed_at  TEXT NOT NULL,
    PRIMARY KEY (model, seq)
);

CREATE TABLE windows (
    id       INTEGER PRIMARY KEY,
    model    TEXT NOT NULL,
    spec     TEXT NOT NULL,
    start_at TEXT NOT NULL,
    start_id TEXT NOT NULL,
    end_at   TEXT NOT NULL,
    end_id   TEXT NOT NULL,
    UNIQUE (model, spec, start_at, start_id, end_at, end_id)
);
CREATE INDEX windows_by_end ON windows (model, end_at, end_id);

CREATE TABLE snapshots (
    id            INTEGER PRIMARY KEY,
    window_id     INTEGER NOT NULL REFERENCES windows (id),
    revision      INTEGER NOT NULL,
    taken_at      TEXT NOT NULL,
    reference_id  TEXT NOT NULL,
    model_version TEXT,
    config_hash   TEXT NOT NULL,
    code_version  TEXT NOT NULL,
    row_count     INTEGER NOT NULL,
    labelled      INTEGER NOT NULL,
    late          INTEGER NOT NULL,
    sampled       DOUBLE PRECISION NOT NULL,
    mature        INTEGER NOT NULL,         -- 0 or 1
    status        TEXT NOT NULL,
    reason        TEXT,
    UNIQUE (window_id, revision)
);

CREATE TABLE scores (
    snapshot_id INTEGER NOT NULL REFERENCES snapshots (id),
    position    INTEGER NOT NULL,
    metric      TEXT NOT NULL,
    method      TEXT,
    column_name TEXT,
    segment     TEXT,
    value       DOUBLE PRECISION,
    reference   DOUBLE PRECISION,
    low         DOUBLE PRECISION,
    high        DOUBLE PRECISION,
    threshold   DOUBLE PRECISION,
    status      TEXT NOT NULL,
    provisional INTEGER NOT NULL,           -- 0 or 1
    n           INTEGER,
    reason      TEXT,
    PRIMARY KEY (snapshot_id, position)
);
CREATE INDEX scores_by_metric ON scores (metric, snapshot_id);

CREATE TABLE verdicts (
    snapshot_id INTEGER PRIMARY KEY REFERENCES snapshots (id),
    at          TEXT NOT NULL,
    action      TEXT NOT NULL,
    fired       TEXT NOT NULL,              -- JSON lists of text
    guards      TEXT NOT NULL,
    reasons     TEXT NOT NULL
);

CREATE TABLE firings (
    model        TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    firing       INTEGER NOT NULL,          -- 0 or 1
    since        TEXT NOT NULL,
    reason       TEXT NOT NULL,
    PRIMARY KEY (model, trigger_name)
);

CREATE TABLE episodes (
    id           TEXT PRIMARY KEY,
    model        TEXT NOT NULL,
    seq          INTEGER NOT NULL,          -- order of opening within the model
    reference_id TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    window_id    INTEGER NOT NULL REFERENCES windows (id),
    state        TEXT NOT NULL,
    reason       TEXT NOT NULL,
    UNIQUE (model, seq)
);
CREATE UNIQUE INDEX one_open_episode ON episodes (model)
    WHERE state IN ('open', 'suppressed', 'awaiting_approval', 'requested');

CREATE TABLE dispatches (
    id            TEXT PRIMARY KEY,
    episode_id    TEXT NOT NULL REFERENCES episodes (id),
    attempt       INTEGER NOT NULL,
    model         TEXT NOT NULL,
    window_id     INTEGER NOT NULL REFERENCES windows (id),  -- the newest one when it was written
    pipeline      TEXT NOT NULL,
    state         TEXT NOT NULL,
    body          TEXT NOT NULL,
    created_at    TEXT NOT NULL,
    tries         INTEGER NOT NULL,
    next_try_at   TEXT,
    accepted_at   TEXT,
    ended_at      TEXT,
    handle        TEXT,
    url           TEXT,
    reason        TEXT,
    sent_at       TEXT,
    unclear       INTEGER NOT NULL,
    new_version   TEXT,
    new_reference TEXT,
    UNIQUE (episode_id, attempt)
);
CREATE INDEX dispatches_by_state ON dispatches (state, next_try_at);
CREATE INDEX dispatches_by_model ON dispatches (model, created_at);

CREATE TABLE messages (
    id          TEXT PRIMARY KEY,
    model       TEXT NOT NULL,
    kind        TEXT NOT NULL,
    title       TEXT NOT NULL,
    body        TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    tries       INTEGER NOT NULL,
    next_try_at TEXT,
    sent_at     TEXT,
    reason      TEXT
);
CREATE INDEX messages_unsent ON messages (sent_at, next_try_at);

CREATE TABLE pauses (
    model     TEXT PRIMARY KEY,
    by_whom   TEXT NOT NULL,
    reason    TEXT NOT NULL,
    paused_at TEXT NOT NULL
);

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    reason  TEXT NOT NULL
);
