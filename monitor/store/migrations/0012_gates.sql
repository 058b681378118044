-- What the gate said of the candidate of a request's run (gate_result.py).
CREATE TABLE gates (
    dispatch_id TEXT PRIMARY KEY REFERENCES dispatches (id),
    at          TEXT NOT NULL,
    result      TEXT NOT NULL               -- JSON
);
