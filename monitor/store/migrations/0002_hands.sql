-- What people say: approvals of needs, silences set by hand. What messages and scores lacked.
CREATE TABLE approvals (
    episode_id TEXT PRIMARY KEY REFERENCES episodes (id),
    asked_at   TEXT NOT NULL,
    asked_by   TEXT,                        -- NULL: a trigger
    decision   TEXT,                        -- the state it came to, NULL while it waits
    decided_at TEXT,
    decided_by TEXT,
    reason     TEXT
);

CREATE TABLE silences (
    id           INTEGER PRIMARY KEY,
    model        TEXT NOT NULL,
    trigger_name TEXT,                      -- NULL: every message about the model
    maintenance  INTEGER NOT NULL,          -- 0 or 1
    by_whom      TEXT NOT NULL,
    reason       TEXT NOT NULL,
    since        TEXT NOT NULL,
    until        TEXT NOT NULL
);
CREATE INDEX silences_by_end ON silences (model, until);

ALTER TABLE messages ADD COLUMN trigger_name TEXT;
ALTER TABLE scores ADD COLUMN uncalibrated INTEGER NOT NULL DEFAULT 0;

DROP INDEX one_open_episode;
CREATE UNIQUE INDEX one_open_episode ON episodes (model)
    WHERE state IN ('open', 'suppressed', 'awaiting_approval', 'requested', 'rejected', 'lapsed');
