-- Versions that came into service, or wait for a person's word; what is asked of the registry; what callbacks said.
CREATE TABLE promotions (
    model           TEXT NOT NULL,
    seq             INTEGER NOT NULL,       -- 1, 2, …: the order in which they came
    version         TEXT NOT NULL,
    configured      TEXT,                   -- the version in the configuration then: another one since wins
    replaces        TEXT,                   -- the version in service when it came
    origin          TEXT NOT NULL,          -- run, registry, rollback or configuration
    dispatch_id     TEXT UNIQUE REFERENCES dispatches (id),  -- the request whose run made it
    reference       TEXT,                   -- the file to compare with from then on, where one was named
    state           TEXT NOT NULL,          -- waiting, taken, rejected or superseded
    at              TEXT NOT NULL,
    asked_by        TEXT,
    decided_at      TEXT,
    decided_by      TEXT,
    reason          TEXT,
    reference_id    TEXT,                   -- of the reference that was installed with it
    need            TEXT,                   -- the trigger that had asked for it
    recovery        TEXT,                   -- awaited, recovered or missing, where a need can be measured
    recovery_at     TEXT,                   -- end of the window that showed it
    recovery_reason TEXT,
    PRIMARY KEY (model, seq)
);
CREATE UNIQUE INDEX one_waiting_promotion ON promotions (model) WHERE state = 'waiting';

CREATE TABLE registries (
    model       TEXT PRIMARY KEY,
    version     TEXT,                       -- the alias's, when it was last read
    read_at     TEXT,
    down_since  TEXT,                       -- NULL while it can be read
    reason      TEXT
);

CREATE TABLE alias_moves (
    id           TEXT PRIMARY KEY,
    model        TEXT NOT NULL,
    from_version TEXT NOT NULL,
    to_version   TEXT NOT NULL,
    by_whom      TEXT NOT NULL,
    reason       TEXT NOT NULL,
    state        TEXT NOT NULL,             -- pending, sending, done or refused
    created_at   TEXT NOT NULL,
    tries        INTEGER NOT NULL,
    next_try_at  TEXT,
    answer       TEXT
);
CREATE UNIQUE INDEX one_alias_move ON alias_moves (model) WHERE state IN ('pending', 'sending');

CREATE TABLE callbacks (
    id          TEXT NOT NULL,              -- the message's, which is the request's
    stamp       TEXT NOT NULL,              -- as it was signed
    at          TEXT NOT NULL,
    PRIMARY KEY (id, stamp)
);

CREATE TABLE tracked (
    window_id INTEGER PRIMARY KEY,
    revision  INTEGER NOT NULL,             -- the newest one that was logged
    run       TEXT NOT NULL
);
