-- What the rows of every table add up to (store/sums.py), and which state this is, after how many commits.
CREATE TABLE sums (
    name      TEXT NOT NULL,                -- a table
    part      INTEGER NOT NULL,             -- rows of a large table are added up in parts, 0, 1, …
    row_count INTEGER NOT NULL,
    digest    TEXT NOT NULL,
    PRIMARY KEY (name, part)
);

CREATE TABLE seal (
    id          INTEGER PRIMARY KEY,        -- 1
    state       TEXT NOT NULL,              -- a random name; another one after a restore
    commits     INTEGER NOT NULL,
    restored_at TEXT,                       -- when this was put in the place of a state that may have known more
    digest      TEXT NOT NULL               -- of this row, the schema and the table meta
);
