-- What became of every row and column, and how many rows a reference had when it was taken.
ALTER TABLE snapshots ADD COLUMN ledger TEXT;                  -- JSON
ALTER TABLE model_references ADD COLUMN row_count INTEGER;     -- NULL: not known
