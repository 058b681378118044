-- The audit becomes a chain, each entry with the hash of the one before (store/chain.py). What data was seen, per file.
ALTER TABLE audit RENAME TO audit_before;

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,            -- 1, 2, … without a gap
    at      TEXT NOT NULL,
    actor   TEXT NOT NULL,                  -- a person, or driftd itself
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,                  -- a model, the id of a request or a need, or "configuration"
    details TEXT NOT NULL,                  -- JSON object
    prev    TEXT NOT NULL,                  -- hash of the entry before
    hash    TEXT NOT NULL
);
CREATE INDEX audit_by_subject ON audit (subject);

CREATE TABLE data_seen (
    model        TEXT NOT NULL,
    reference_id TEXT NOT NULL,             -- the current one when it was seen
    place        TEXT NOT NULL,             -- predictions, labels, attributes or reference
    name         TEXT NOT NULL,             -- the file, or the database's table
    stamp        TEXT NOT NULL,             -- changes whenever the content may have changed
    hash         TEXT,                      -- SHA-256 of the file, NULL of a table in a database
    bytes        BIGINT,
    seen_at      TEXT NOT NULL,
    PRIMARY KEY (model, reference_id, place, name, stamp)
);

CREATE TABLE version_facts (
    model   TEXT NOT NULL,
    version TEXT NOT NULL,
    name    TEXT NOT NULL,                  -- git_revision, inputs, …: said by the pipeline that made the version
    value   TEXT NOT NULL,                  -- JSON
    at      TEXT NOT NULL,
    PRIMARY KEY (model, version, name)
);
