-- What the files of an upload hold before their commit: row counts, and the rows that go to quarantine with it.
ALTER TABLE uploads ADD COLUMN prepared TEXT;
