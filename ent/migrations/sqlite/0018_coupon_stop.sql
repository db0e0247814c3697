-- Disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
-- Create "new_coupons" table
CREATE TABLE `new_coupons` (
  `id` text NOT NULL,
  `name` text NOT NULL,
  `discount_kind` text NOT NULL,
  `discount_value` integer NOT NULL,
  `quota` integer NOT NULL,
  `per_user_limit` integer NOT NULL,
  `valid_from` datetime NULL,
  `valid_until` datetime NULL,
  `stopped_at` datetime NULL,
  `version` integer NOT NULL DEFAULT (1),
  `created_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Copy rows from old table "coupons" to new temporary table "new_coupons"
INSERT INTO `new_coupons` (`id`, `name`, `discount_kind`, `discount_value`, `quota`, `per_user_limit`, `valid_from`, `valid_until`, `created_at`) SELECT `id`, `name`, `discount_kind`, `discount_value`, `quota`, `per_user_limit`, `valid_from`, `valid_until`, `created_at` FROM `coupons`;
-- Drop "coupons" table after copying rows
DROP TABLE `coupons`;
-- Rename temporary table "new_coupons" to "coupons"
ALTER TABLE `new_coupons` RENAME TO `coupons`;
-- Enable back the enforcement of foreign-keys constraints
PRAGMA foreign_keys = on;
