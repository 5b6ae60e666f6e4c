-- The names of plain tables' files tell microseconds: the newest that was given out, and those that an upload has.
ALTER TABLE lakes ADD COLUMN last_stamp BIGINT NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN first_stamp BIGINT;
ALTER TABLE uploads ADD COLUMN stamp_count BIGINT NOT NULL DEFAULT 0;
