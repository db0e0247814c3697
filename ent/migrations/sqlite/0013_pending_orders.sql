-- Disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
-- Create "new_orders" table
CREATE TABLE `new_orders` (
  `id` text NOT NULL,
  `status` text NOT NULL DEFAULT ('PENDING'),
  `settled` bool NOT NULL DEFAULT (false),
  `failure_code` text NOT NULL DEFAULT (''),
  `failure_reason` text NOT NULL DEFAULT (''),
  `subtotal_minor` integer NOT NULL,
  `discount_minor` integer NOT NULL,
  `total_minor` integer NOT NULL,
  `currency` text NOT NULL,
  `coupon_issue_id` text NULL,
  `coupon_spent` bool NOT NULL DEFAULT (false),
  `expires_at` datetime NOT NULL,
  `counted` bool NOT NULL DEFAULT (false),
  `unattended` bool NOT NULL DEFAULT (false),
  `next_attempt_at` datetime NULL,
  `attempts` integer NOT NULL DEFAULT (0),
  `last_error` text NOT NULL DEFAULT (''),
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  `user_id` text NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `orders_users_orders` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE NO ACTION
);
-- Copy rows from old table "orders" to new temporary table "new_orders"
INSERT INTO `new_orders` (`id`, `status`, `settled`, `failure_code`, `failure_reason`, `subtotal_minor`, `discount_minor`, `total_minor`, `currency`, `coupon_issue_id`, `coupon_spent`, `expires_at`, `unattended`, `next_attempt_at`, `attempts`, `last_error`, `created_at`, `updated_at`, `user_id`) SELECT `id`, `status`, `settled`, `failure_code`, `failure_reason`, `subtotal_minor`, `discount_minor`, `total_minor`, `currency`, `coupon_issue_id`, `coupon_spent`, `expires_at`, `unattended`, `next_attempt_at`, `attempts`, `last_error`, `created_at`, `updated_at`, `user_id` FROM `orders`;
-- Drop "orders" table after copying rows
DROP TABLE `orders`;
-- Rename temporary table "new_orders" to "orders"
ALTER TABLE `new_orders` RENAME TO `orders`;
-- Create index "order_user_id_created_at_id" to table: "orders"
CREATE INDEX `order_user_id_created_at_id` ON `orders` (`user_id`, `created_at`, `id`);
-- Create index "order_settled_next_attempt_at" to table: "orders"
CREATE INDEX `order_settled_next_attempt_at` ON `orders` (`settled`, `next_attempt_at`);
-- Create index "order_settled_attempts" to table: "orders"
CREATE INDEX `order_settled_attempts` ON `orders` (`settled`, `attempts`);
-- Enable back the enforcement of foreign-keys constraints
PRAGMA foreign_keys = on;
