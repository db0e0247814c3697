-- Disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
-- Create "new_order_lines" table
CREATE TABLE `new_order_lines` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `position` integer NOT NULL,
  `quantity` integer NOT NULL,
  `unit_price_minor` integer NOT NULL,
  `limit_balance` text NULL,
  `returned` integer NOT NULL DEFAULT (0),
  `order_id` text NOT NULL,
  `product_id` text NOT NULL,
  CONSTRAINT `order_lines_orders_lines` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `order_lines_products_order_lines` FOREIGN KEY (`product_id`) REFERENCES `products` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `order_lines_returned` CHECK (returned >= 0 AND returned <= quantity)
);
-- Copy rows from old table "order_lines" to new temporary table "new_order_lines"
INSERT INTO `new_order_lines` (`id`, `position`, `quantity`, `unit_price_minor`, `limit_balance`, `order_id`, `product_id`) SELECT `id`, `position`, `quantity`, `unit_price_minor`, `limit_balance`, `order_id`, `product_id` FROM `order_lines`;
-- Drop "order_lines" table after copying rows
DROP TABLE `order_lines`;
-- Rename temporary table "new_order_lines" to "order_lines"
ALTER TABLE `new_order_lines` RENAME TO `order_lines`;
-- Create index "orderline_order_id_position" to table: "order_lines"
CREATE UNIQUE INDEX `orderline_order_id_position` ON `order_lines` (`order_id`, `position`);
-- Create "new_payments" table
CREATE TABLE `new_payments` (
  `id` text NOT NULL,
  `method` text NOT NULL,
  `status` text NOT NULL,
  `amount_minor` integer NOT NULL,
  `currency` text NOT NULL,
  `refunding_minor` integer NOT NULL DEFAULT (0),
  `refunded_minor` integer NOT NULL DEFAULT (0),
  `account_id` text NULL,
  `reference` text NOT NULL DEFAULT (''),
  `attempt_id` text NULL,
  `failure_reason` text NOT NULL DEFAULT (''),
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  `order_id` text NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `payments_orders_payment` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `payments_refunds` CHECK (refunding_minor >= 0 AND refunded_minor >= 0 AND refunding_minor + refunded_minor <= amount_minor)
);
-- Copy rows from old table "payments" to new temporary table "new_payments"
INSERT INTO `new_payments` (`id`, `method`, `status`, `amount_minor`, `currency`, `account_id`, `reference`, `attempt_id`, `failure_reason`, `created_at`, `updated_at`, `order_id`) SELECT `id`, `method`, `status`, `amount_minor`, `currency`, `account_id`, `reference`, `attempt_id`, `failure_reason`, `created_at`, `updated_at`, `order_id` FROM `payments`;
-- Drop "payments" table after copying rows
DROP TABLE `payments`;
-- Rename temporary table "new_payments" to "payments"
ALTER TABLE `new_payments` RENAME TO `payments`;
-- Create index "payments_order_id_key" to table: "payments"
CREATE UNIQUE INDEX `payments_order_id_key` ON `payments` (`order_id`);
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
  `refund_count` integer NOT NULL DEFAULT (0),
  `fulfilment` text NOT NULL DEFAULT ('UNFULFILLED'),
  `fulfilled_at` datetime NULL,
  `tracking` text NOT NULL DEFAULT (''),
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
INSERT INTO `new_orders` (`id`, `status`, `settled`, `failure_code`, `failure_reason`, `subtotal_minor`, `discount_minor`, `total_minor`, `currency`, `coupon_issue_id`, `coupon_spent`, `expires_at`, `counted`, `unattended`, `next_attempt_at`, `attempts`, `last_error`, `created_at`, `updated_at`, `user_id`) SELECT `id`, `status`, `settled`, `failure_code`, `failure_reason`, `subtotal_minor`, `discount_minor`, `total_minor`, `currency`, `coupon_issue_id`, `coupon_spent`, `expires_at`, `counted`, `unattended`, `next_attempt_at`, `attempts`, `last_error`, `created_at`, `updated_at`, `user_id` FROM `orders`;
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
-- Create "refunds" table
CREATE TABLE `refunds` (
  `id` text NOT NULL,
  `method` text NOT NULL,
  `status` text NOT NULL,
  `amount_minor` integer NOT NULL,
  `currency` text NOT NULL,
  `attempt_id` text NULL,
  `restock` bool NOT NULL,
  `restocked_at` datetime NULL,
  `reason` text NOT NULL,
  `administrator` text NOT NULL,
  `failure_reason` text NOT NULL DEFAULT (''),
  `look_at` datetime NULL,
  `looks` integer NOT NULL DEFAULT (0),
  `last_error` text NOT NULL DEFAULT (''),
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  `order_id` text NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `refunds_orders_refunds` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`) ON DELETE NO ACTION
);
-- Create index "refund_order_id" to table: "refunds"
CREATE INDEX `refund_order_id` ON `refunds` (`order_id`);
-- Create index "refund_look_at" to table: "refunds"
CREATE INDEX `refund_look_at` ON `refunds` (`look_at`);
-- Create "refund_lines" table
CREATE TABLE `refund_lines` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `quantity` integer NOT NULL,
  `amount_minor` integer NOT NULL,
  `order_line_id` integer NOT NULL,
  `product_id` text NOT NULL,
  `refund_id` text NOT NULL,
  CONSTRAINT `refund_lines_order_lines_refund_lines` FOREIGN KEY (`order_line_id`) REFERENCES `order_lines` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `refund_lines_products_refund_lines` FOREIGN KEY (`product_id`) REFERENCES `products` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `refund_lines_refunds_lines` FOREIGN KEY (`refund_id`) REFERENCES `refunds` (`id`) ON DELETE NO ACTION
);
-- Create index "refundline_refund_id_order_line_id" to table: "refund_lines"
CREATE UNIQUE INDEX `refundline_refund_id_order_line_id` ON `refund_lines` (`refund_id`, `order_line_id`);
-- Enable back the enforcement of foreign-keys constraints
PRAGMA foreign_keys = on;
-- What was given back before is all of the payment
UPDATE `payments` SET `refunded_minor` = `amount_minor` WHERE `status` = 'REFUNDED';
