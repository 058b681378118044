-- When something was last done that leaves no other trace: a model's check by `cron`, a try to write.
CREATE TABLE moments (
    name TEXT PRIMARY KEY,
    at   TEXT NOT NULL
);
