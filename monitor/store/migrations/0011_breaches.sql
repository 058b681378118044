-- Decisions look back on a window's quality only where it was breached.
CREATE INDEX scores_breached ON scores (snapshot_id) WHERE status = 'breached';
