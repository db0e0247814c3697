-- Create "accounts" table
CREATE TABLE `accounts` (
  `id` text NOT NULL,
  `name` text NOT NULL,
  `currency` text NOT NULL,
  `created_at` datetime NOT NULL,
  `user_id` text NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `accounts_users_accounts` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE NO ACTION
);
-- Create "balances" table
CREATE TABLE `balances` (
  `id` text NOT NULL,
  `family` text NOT NULL,
  `amount` integer NOT NULL,
  `floor` integer NOT NULL,
  `ceiling` integer NOT NULL,
  `opening` integer NOT NULL,
  `version` integer NOT NULL DEFAULT (0),
  `applied` integer NOT NULL DEFAULT (0),
  PRIMARY KEY (`id`),
  CONSTRAINT `balance_in_bounds` CHECK (amount >= floor AND amount <= ceiling)
);
-- Create index "balance_family_id" to table: "balances"
CREATE INDEX `balance_family_id` ON `balances` (`family`, `id`);
-- Create "change_logs" table
CREATE TABLE `change_logs` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `change_id` uuid NOT NULL,
  `family` text NOT NULL,
  `kind` text NOT NULL,
  `strategy` text NOT NULL,
  `payload` text NOT NULL,
  `payload_hash` text NOT NULL,
  `admission` text NOT NULL DEFAULT (''),
  `created_at` datetime NOT NULL,
  `published_at` datetime NULL
);
-- Create index "change_logs_change_id_key" to table: "change_logs"
CREATE UNIQUE INDEX `change_logs_change_id_key` ON `change_logs` (`change_id`);
-- Create index "changelog_published_at_id" to table: "change_logs"
CREATE INDEX `changelog_published_at_id` ON `change_logs` (`published_at`, `id`);
-- Create index "changelog_created_at" to table: "change_logs"
CREATE INDEX `changelog_created_at` ON `change_logs` (`created_at`);
-- Create "coupons" table
CREATE TABLE `coupons` (
  `id` text NOT NULL,
  `name` text NOT NULL,
  `discount_kind` text NOT NULL,
  `discount_value` integer NOT NULL,
  `quota` integer NOT NULL,
  `per_user_limit` integer NOT NULL,
  `valid_from` datetime NULL,
  `valid_until` datetime NULL,
  `created_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Create "coupon_issues" table
CREATE TABLE `coupon_issues` (
  `id` text NOT NULL,
  `status` text NOT NULL DEFAULT ('ISSUED'),
  `order_id` text NULL,
  `issued_at` datetime NOT NULL,
  `coupon_id` text NOT NULL,
  `user_id` text NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `coupon_issues_coupons_issues` FOREIGN KEY (`coupon_id`) REFERENCES `coupons` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `coupon_issues_users_coupon_issues` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE NO ACTION
);
-- Create index "couponissue_user_id_issued_at" to table: "coupon_issues"
CREATE INDEX `couponissue_user_id_issued_at` ON `coupon_issues` (`user_id`, `issued_at`);
-- Create "drift_reports" table
CREATE TABLE `drift_reports` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `family` text NOT NULL,
  `balance` text NOT NULL,
  `redis_amount` integer NOT NULL,
  `redis_seq` integer NOT NULL,
  `database_amount` integer NOT NULL,
  `database_applied` integer NOT NULL,
  `expected_amount` integer NOT NULL,
  `in_flight` integer NOT NULL,
  `repaired` bool NOT NULL DEFAULT (false),
  `seen_at` datetime NOT NULL
);
-- Create index "driftreport_repaired_family_balance" to table: "drift_reports"
CREATE INDEX `driftreport_repaired_family_balance` ON `drift_reports` (`repaired`, `family`, `balance`);
-- Create index "driftreport_seen_at" to table: "drift_reports"
CREATE INDEX `driftreport_seen_at` ON `drift_reports` (`seen_at`);
-- Create "entries" table
CREATE TABLE `entries` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `balance` text NOT NULL,
  `change_id` uuid NOT NULL,
  `delta` integer NOT NULL,
  `amount_after` integer NOT NULL,
  `kind` text NOT NULL,
  `created_at` datetime NOT NULL
);
-- Create index "entry_change_id_balance" to table: "entries"
CREATE UNIQUE INDEX `entry_change_id_balance` ON `entries` (`change_id`, `balance`);
-- Create index "entry_balance_id" to table: "entries"
CREATE INDEX `entry_balance_id` ON `entries` (`balance`, `id`);
-- Create "family_strategies" table
CREATE TABLE `family_strategies` (
  `id` text NOT NULL,
  `strategy` text NOT NULL,
  `fallback` bool NOT NULL DEFAULT (false),
  `epoch` integer NOT NULL DEFAULT (1),
  `updated_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Create "instances" table
CREATE TABLE `instances` (
  `id` text NOT NULL,
  `host` text NOT NULL,
  `strategies` json NOT NULL,
  `started_at` datetime NOT NULL,
  `heartbeat_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Create "orders" table
CREATE TABLE `orders` (
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
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  `user_id` text NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `orders_users_orders` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE NO ACTION
);
-- Create index "order_user_id_created_at_id" to table: "orders"
CREATE INDEX `order_user_id_created_at_id` ON `orders` (`user_id`, `created_at`, `id`);
-- Create index "order_settled_expires_at" to table: "orders"
CREATE INDEX `order_settled_expires_at` ON `orders` (`settled`, `expires_at`);
-- Create "order_lines" table
CREATE TABLE `order_lines` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `position` integer NOT NULL,
  `quantity` integer NOT NULL,
  `unit_price_minor` integer NOT NULL,
  `order_id` text NOT NULL,
  `product_id` text NOT NULL,
  CONSTRAINT `order_lines_orders_lines` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `order_lines_products_order_lines` FOREIGN KEY (`product_id`) REFERENCES `products` (`id`) ON DELETE NO ACTION
);
-- Create index "orderline_order_id_position" to table: "order_lines"
CREATE UNIQUE INDEX `orderline_order_id_position` ON `order_lines` (`order_id`, `position`);
-- Create "payments" table
CREATE TABLE `payments` (
  `id` text NOT NULL,
  `method` text NOT NULL,
  `status` text NOT NULL,
  `amount_minor` integer NOT NULL,
  `currency` text NOT NULL,
  `account_id` text NULL,
  `reference` text NOT NULL DEFAULT (''),
  `failure_reason` text NOT NULL DEFAULT (''),
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  `order_id` text NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `payments_orders_payment` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`) ON DELETE NO ACTION
);
-- Create index "payments_order_id_key" to table: "payments"
CREATE UNIQUE INDEX `payments_order_id_key` ON `payments` (`order_id`);
-- Create "processed_events" table
CREATE TABLE `processed_events` (
  `id` text NOT NULL,
  `processed_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Create index "processedevent_processed_at" to table: "processed_events"
CREATE INDEX `processedevent_processed_at` ON `processed_events` (`processed_at`);
-- Create "products" table
CREATE TABLE `products` (
  `id` text NOT NULL,
  `sku` text NOT NULL,
  `name` text NOT NULL,
  `description` text NOT NULL DEFAULT (''),
  `price_minor` integer NOT NULL,
  `currency` text NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `archived_at` datetime NULL,
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Create index "products_sku_key" to table: "products"
CREATE UNIQUE INDEX `products_sku_key` ON `products` (`sku`);
-- Create "sales_statistics" table
CREATE TABLE `sales_statistics` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `product_id` text NOT NULL,
  `day` text NOT NULL,
  `orders` integer NOT NULL DEFAULT (0),
  `units` integer NOT NULL DEFAULT (0),
  `revenue_minor` integer NOT NULL DEFAULT (0)
);
-- Create index "salesstatistic_product_id_day" to table: "sales_statistics"
CREATE UNIQUE INDEX `salesstatistic_product_id_day` ON `sales_statistics` (`product_id`, `day`);
-- Create index "salesstatistic_day" to table: "sales_statistics"
CREATE INDEX `salesstatistic_day` ON `sales_statistics` (`day`);
-- Create "scheduler_jobs" table
CREATE TABLE `scheduler_jobs` (
  `id` text NOT NULL,
  `holder` text NOT NULL DEFAULT (''),
  `claimed_at` datetime NULL,
  `held_until` datetime NULL,
  PRIMARY KEY (`id`)
);
-- Create "scheduler_runs" table
CREATE TABLE `scheduler_runs` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `job` text NOT NULL,
  `instance` text NOT NULL,
  `started_at` datetime NOT NULL,
  `duration_micros` integer NOT NULL,
  `result` json NOT NULL,
  `error` text NOT NULL DEFAULT ('')
);
-- Create index "schedulerrun_job_id" to table: "scheduler_runs"
CREATE INDEX `schedulerrun_job_id` ON `scheduler_runs` (`job`, `id`);
-- Create index "schedulerrun_started_at" to table: "scheduler_runs"
CREATE INDEX `schedulerrun_started_at` ON `scheduler_runs` (`started_at`);
-- Create "stock_alerts" table
CREATE TABLE `stock_alerts` (
  `id` text NOT NULL,
  `low` bool NOT NULL DEFAULT (false),
  `threshold` integer NOT NULL,
  `position` integer NOT NULL,
  `since` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Create index "stockalert_low_since" to table: "stock_alerts"
CREATE INDEX `stockalert_low_since` ON `stock_alerts` (`low`, `since`);
-- Create "transfers" table
CREATE TABLE `transfers` (
  `id` text NOT NULL,
  `user_id` text NOT NULL,
  `from_account_id` text NOT NULL,
  `to_account_id` text NOT NULL,
  `amount_minor` integer NOT NULL,
  `currency` text NOT NULL,
  `created_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Create index "transfer_from_account_id_created_at" to table: "transfers"
CREATE INDEX `transfer_from_account_id_created_at` ON `transfers` (`from_account_id`, `created_at`);
-- Create index "transfer_to_account_id_created_at" to table: "transfers"
CREATE INDEX `transfer_to_account_id_created_at` ON `transfers` (`to_account_id`, `created_at`);
-- Create "users" table
CREATE TABLE `users` (
  `id` text NOT NULL,
  `name` text NOT NULL,
  `created_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
