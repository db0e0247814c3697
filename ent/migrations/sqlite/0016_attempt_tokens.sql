-- Disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
-- Create "new_payment_attempts" table
CREATE TABLE `new_payment_attempts` (
  `id` text NOT NULL,
  `open_order_id` text NULL,
  `user_id` text NULL,
  `points` integer NULL,
  `credited_at` datetime NULL,
  `gateway` text NOT NULL,
  `status` text NOT NULL,
  `amount_minor` integer NOT NULL,
  `currency` text NOT NULL,
  `reference` text NOT NULL DEFAULT (''),
  `reason` text NOT NULL DEFAULT (''),
  `token` text NOT NULL DEFAULT (''),
  `client_secret` text NOT NULL DEFAULT (''),
  `redirect_url` text NOT NULL DEFAULT (''),
  `look_at` datetime NULL,
  `looks` integer NOT NULL DEFAULT (0),
  `last_error` text NOT NULL DEFAULT (''),
  `matched_at` datetime NULL,
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  `order_id` text NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `payment_attempts_orders_payment_attempts` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `payment_attempts_subject` CHECK (order_id IS NOT NULL AND user_id IS NULL AND points IS NULL AND credited_at IS NULL OR order_id IS NULL AND open_order_id IS NULL AND user_id IS NOT NULL AND points IS NOT NULL AND points > 0)
);
-- Copy rows from old table "payment_attempts" to new temporary table "new_payment_attempts"
INSERT INTO `new_payment_attempts` (`id`, `open_order_id`, `user_id`, `points`, `credited_at`, `gateway`, `status`, `amount_minor`, `currency`, `reference`, `reason`, `client_secret`, `redirect_url`, `look_at`, `looks`, `last_error`, `matched_at`, `created_at`, `updated_at`, `order_id`) SELECT `id`, `open_order_id`, `user_id`, `points`, `credited_at`, `gateway`, `status`, `amount_minor`, `currency`, `reference`, `reason`, `client_secret`, `redirect_url`, `look_at`, `looks`, `last_error`, `matched_at`, `created_at`, `updated_at`, `order_id` FROM `payment_attempts`;
-- Drop "payment_attempts" table after copying rows
DROP TABLE `payment_attempts`;
-- Rename temporary table "new_payment_attempts" to "payment_attempts"
ALTER TABLE `new_payment_attempts` RENAME TO `payment_attempts`;
-- Create index "payment_attempts_open_order_id_key" to table: "payment_attempts"
CREATE UNIQUE INDEX `payment_attempts_open_order_id_key` ON `payment_attempts` (`open_order_id`);
-- Create index "paymentattempt_order_id" to table: "payment_attempts"
CREATE INDEX `paymentattempt_order_id` ON `payment_attempts` (`order_id`);
-- Create index "paymentattempt_look_at" to table: "payment_attempts"
CREATE INDEX `paymentattempt_look_at` ON `payment_attempts` (`look_at`);
-- Create index "paymentattempt_updated_at" to table: "payment_attempts"
CREATE INDEX `paymentattempt_updated_at` ON `payment_attempts` (`updated_at`);
-- Create index "paymentattempt_reference" to table: "payment_attempts"
CREATE INDEX `paymentattempt_reference` ON `payment_attempts` (`reference`);
-- Enable back the enforcement of foreign-keys constraints
PRAGMA foreign_keys = on;
