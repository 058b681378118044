-- The version that a need asks to go back to; NULL: it asks for a retrain.
ALTER TABLE episodes ADD COLUMN version TEXT;
