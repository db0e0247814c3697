-- Modify "entries" table
ALTER TABLE `entries` ADD COLUMN `position` bigint NOT NULL DEFAULT 0;
