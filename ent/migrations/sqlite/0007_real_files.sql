-- Disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
-- Create "new_instances" table
CREATE TABLE `new_instances` (
  `id` text NOT NULL,
  `host` text NOT NULL,
  `address` text NOT NULL DEFAULT (''),
  `strategies` json NOT NULL,
  `started_at` datetime NOT NULL,
  `heartbeat_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Copy rows from old table "instances" to new temporary table "new_instances"
INSERT INTO `new_instances` (`id`, `host`, `strategies`, `started_at`, `heartbeat_at`) SELECT `id`, `host`, `strategies`, `started_at`, `heartbeat_at` FROM `instances`;
-- Drop "instances" table after copying rows
DROP TABLE `instances`;
-- Rename temporary table "new_instances" to "instances"
ALTER TABLE `new_instances` RENAME TO `instances`;
-- Enable back the enforcement of foreign-keys constraints
PRAGMA foreign_keys = on;
