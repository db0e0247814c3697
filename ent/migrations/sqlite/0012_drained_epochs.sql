-- Disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
-- Create "new_family_strategies" table
CREATE TABLE `new_family_strategies` (
  `id` text NOT NULL,
  `strategy` text NOT NULL,
  `fallback` bool NOT NULL DEFAULT (false),
  `epoch` integer NOT NULL DEFAULT (1),
  `opened_epoch` integer NOT NULL DEFAULT (0),
  `drained_epoch` integer NOT NULL DEFAULT (0),
  `updated_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Copy rows from old table "family_strategies" to new temporary table "new_family_strategies"
INSERT INTO `new_family_strategies` (`id`, `strategy`, `fallback`, `epoch`, `updated_at`) SELECT `id`, `strategy`, `fallback`, `epoch`, `updated_at` FROM `family_strategies`;
-- Drop "family_strategies" table after copying rows
DROP TABLE `family_strategies`;
-- Rename temporary table "new_family_strategies" to "family_strategies"
ALTER TABLE `new_family_strategies` RENAME TO `family_strategies`;
-- Enable back the enforcement of foreign-keys constraints
PRAGMA foreign_keys = on;
