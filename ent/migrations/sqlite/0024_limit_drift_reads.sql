-- Disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
-- Create "new_scheduler_jobs" table
CREATE TABLE `new_scheduler_jobs` (
  `id` text NOT NULL,
  `holder` text NOT NULL DEFAULT (''),
  `claimed_at` datetime NULL,
  `held_until` datetime NULL,
  `position` text NOT NULL DEFAULT (''),
  PRIMARY KEY (`id`)
);
-- Copy rows from old table "scheduler_jobs" to new temporary table "new_scheduler_jobs"
INSERT INTO `new_scheduler_jobs` (`id`, `holder`, `claimed_at`, `held_until`) SELECT `id`, `holder`, `claimed_at`, `held_until` FROM `scheduler_jobs`;
-- Drop "scheduler_jobs" table after copying rows
DROP TABLE `scheduler_jobs`;
-- Rename temporary table "new_scheduler_jobs" to "scheduler_jobs"
ALTER TABLE `new_scheduler_jobs` RENAME TO `scheduler_jobs`;
-- Create index "orderline_limit_balance" to table: "order_lines"
CREATE INDEX `orderline_limit_balance` ON `order_lines` (`limit_balance`) WHERE limit_balance IS NOT NULL;
-- Create index "order_counted_user_id" to table: "orders"
CREATE INDEX `order_counted_user_id` ON `orders` (`counted`, `user_id`) WHERE counted = true;
-- Enable back the enforcement of foreign-keys constraints
PRAGMA foreign_keys = on;
