-- When a run was first seen at work: queueing and running have deadlines of their own.
ALTER TABLE dispatches ADD COLUMN running_at TEXT;
UPDATE dispatches SET running_at = accepted_at WHERE state = 'running';
