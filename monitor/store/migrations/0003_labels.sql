-- Whether a label is corrected after it was read.
ALTER TABLE snapshots ADD COLUMN labels TEXT;
