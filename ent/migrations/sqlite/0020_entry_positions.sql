-- Disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
-- Create "new_entries" table
CREATE TABLE `new_entries` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `balance` text NOT NULL,
  `change_id` uuid NOT NULL,
  `delta` integer NOT NULL,
  `amount_after` integer NOT NULL,
  `position` integer NOT NULL DEFAULT (0),
  `kind` text NOT NULL,
  `created_at` datetime NOT NULL
);
-- Copy rows from old table "entries" to new temporary table "new_entries"
INSERT INTO `new_entries` (`id`, `balance`, `change_id`, `delta`, `amount_after`, `kind`, `created_at`) SELECT `id`, `balance`, `change_id`, `delta`, `amount_after`, `kind`, `created_at` FROM `entries`;
-- Drop "entries" table after copying rows
DROP TABLE `entries`;
-- Rename temporary table "new_entries" to "entries"
ALTER TABLE `new_entries` RENAME TO `entries`;
-- Create index "entry_change_id_balance" to table: "entries"
CREATE UNIQUE INDEX `entry_change_id_balance` ON `entries` (`change_id`, `balance`);
-- Create index "entry_balance_id" to table: "entries"
CREATE INDEX `entry_balance_id` ON `entries` (`balance`, `id`);
-- Enable back the enforcement of foreign-keys constraints
PRAGMA foreign_keys = on;
