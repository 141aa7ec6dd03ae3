-- One row a photo: its key in the bucket, what it was (sha256), what answered (model), and the answer or why there is none.
CREATE TABLE IF NOT EXISTS results (
  key TEXT PRIMARY KEY,
  sha256 TEXT,
  model TEXT NOT NULL,
  label TEXT,
  score REAL,
  predictions TEXT,
  error TEXT
) WITHOUT ROWID;
