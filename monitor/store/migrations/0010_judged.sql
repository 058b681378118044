-- What a moment was about: of a model's newest verdict the configuration by which it was judged, as a hash.
ALTER TABLE moments ADD COLUMN what TEXT;
