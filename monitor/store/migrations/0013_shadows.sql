-- Candidates that serve in shadow beside a champion, and what was found of each.
CREATE TABLE shadows (
    model     TEXT NOT NULL,
    seq       INTEGER NOT NULL,             -- 1, 2, …: the order in which they came
    version   TEXT NOT NULL,                -- of the candidate
    champion  TEXT,                         -- the version in service, which it is compared with
    since     TEXT NOT NULL,                -- rows from here on are judged
    began_at  TEXT NOT NULL,
    looked_at TEXT,                         -- NULL: not yet; once it is decided, when that was
    state     TEXT NOT NULL,                -- undecided, promoted, refused or superseded
    reason    TEXT NOT NULL,
    days_left REAL,                         -- NULL: not known
    result    TEXT,                         -- JSON (gate_result.py)
    PRIMARY KEY (model, seq)
);
ALTER TABLE registries ADD COLUMN shadow TEXT;      -- the version that the candidate's alias named
