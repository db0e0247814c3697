-- Create "scheduler_jobs" table
CREATE TABLE `scheduler_jobs` (
  `id` varchar(32) NOT NULL,
  `holder` varchar(64) NOT NULL DEFAULT '',
  `claimed_at` datetime(6) NULL,
  `held_until` datetime(6) NULL,
  PRIMARY KEY (`id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "balances" table
CREATE TABLE `balances` (
  `id` varchar(160) NOT NULL,
  `family` varchar(16) NOT NULL,
  `amount` bigint NOT NULL,
  `floor` bigint NOT NULL,
  `ceiling` bigint NOT NULL,
  `opening` bigint NOT NULL,
  `version` bigint NOT NULL DEFAULT 0,
  `applied` bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  INDEX `balance_family_id` (`family`, `id`),
  CONSTRAINT `balance_in_bounds` CHECK (`amount` >= `floor` and `amount` <= `ceiling`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "change_logs" table
CREATE TABLE `change_logs` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `change_id` char(36) NOT NULL,
  `family` varchar(16) NOT NULL,
  `kind` varchar(32) NOT NULL,
  `strategy` varchar(16) NOT NULL,
  `payload` longtext NOT NULL,
  `payload_hash` varchar(64) NOT NULL,
  `admission` varchar(32) NOT NULL DEFAULT '',
  `created_at` datetime(6) NOT NULL,
  `published_at` datetime(6) NULL,
  PRIMARY KEY (`id`),
  INDEX `changelog_created_at` (`created_at`),
  INDEX `changelog_published_at_id` (`published_at`, `id`),
  UNIQUE INDEX `change_id` (`change_id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "users" table
CREATE TABLE `users` (
  `id` varchar(64) NOT NULL,
  `name` varchar(200) NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "transfers" table
CREATE TABLE `transfers` (
  `id` varchar(64) NOT NULL,
  `user_id` varchar(64) NOT NULL,
  `from_account_id` varchar(64) NOT NULL,
  `to_account_id` varchar(64) NOT NULL,
  `amount_minor` bigint NOT NULL,
  `currency` varchar(3) NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `transfer_from_account_id_created_at` (`from_account_id`, `created_at`),
  INDEX `transfer_to_account_id_created_at` (`to_account_id`, `created_at`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "drift_reports" table
CREATE TABLE `drift_reports` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `family` varchar(16) NOT NULL,
  `balance` varchar(160) NOT NULL,
  `redis_amount` bigint NOT NULL,
  `redis_seq` bigint NOT NULL,
  `database_amount` bigint NOT NULL,
  `database_applied` bigint NOT NULL,
  `expected_amount` bigint NOT NULL,
  `in_flight` bigint NOT NULL,
  `repaired` bool NOT NULL DEFAULT 0,
  `seen_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `driftreport_repaired_family_balance` (`repaired`, `family`, `balance`),
  INDEX `driftreport_seen_at` (`seen_at`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "entries" table
CREATE TABLE `entries` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `balance` varchar(160) NOT NULL,
  `change_id` char(36) NOT NULL,
  `delta` bigint NOT NULL,
  `amount_after` bigint NOT NULL,
  `kind` varchar(32) NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `entry_balance_id` (`balance`, `id`),
  UNIQUE INDEX `entry_change_id_balance` (`change_id`, `balance`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "family_strategies" table
CREATE TABLE `family_strategies` (
  `id` varchar(16) NOT NULL,
  `strategy` varchar(16) NOT NULL,
  `fallback` bool NOT NULL DEFAULT 0,
  `epoch` bigint NOT NULL DEFAULT 1,
  `updated_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "stock_alerts" table
CREATE TABLE `stock_alerts` (
  `id` varchar(64) NOT NULL,
  `low` bool NOT NULL DEFAULT 0,
  `threshold` bigint NOT NULL,
  `position` bigint NOT NULL,
  `since` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `stockalert_low_since` (`low`, `since`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "instances" table
CREATE TABLE `instances` (
  `id` varchar(64) NOT NULL,
  `host` varchar(255) NOT NULL,
  `strategies` json NOT NULL,
  `started_at` datetime(6) NOT NULL,
  `heartbeat_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "processed_events" table
CREATE TABLE `processed_events` (
  `id` varchar(128) NOT NULL,
  `processed_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `processedevent_processed_at` (`processed_at`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "scheduler_runs" table
CREATE TABLE `scheduler_runs` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `job` varchar(32) NOT NULL,
  `instance` varchar(64) NOT NULL,
  `started_at` datetime(6) NOT NULL,
  `duration_micros` bigint NOT NULL,
  `result` json NOT NULL,
  `error` varchar(1000) NOT NULL DEFAULT '',
  PRIMARY KEY (`id`),
  INDEX `schedulerrun_job_id` (`job`, `id`),
  INDEX `schedulerrun_started_at` (`started_at`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "sales_statistics" table
CREATE TABLE `sales_statistics` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `product_id` varchar(64) NOT NULL,
  `day` varchar(10) NOT NULL,
  `orders` bigint NOT NULL DEFAULT 0,
  `units` bigint NOT NULL DEFAULT 0,
  `revenue_minor` bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  INDEX `salesstatistic_day` (`day`),
  UNIQUE INDEX `salesstatistic_product_id_day` (`product_id`, `day`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "accounts" table
CREATE TABLE `accounts` (
  `id` varchar(64) NOT NULL,
  `name` varchar(200) NOT NULL,
  `currency` varchar(3) NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `user_id` varchar(64) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `accounts_users_accounts` (`user_id`),
  CONSTRAINT `accounts_users_accounts` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "coupons" table
CREATE TABLE `coupons` (
  `id` varchar(64) NOT NULL,
  `name` varchar(200) NOT NULL,
  `discount_kind` enum('FIXED','PERCENT') NOT NULL,
  `discount_value` bigint NOT NULL,
  `quota` bigint NOT NULL,
  `per_user_limit` bigint NOT NULL,
  `valid_from` datetime(6) NULL,
  `valid_until` datetime(6) NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "coupon_issues" table
CREATE TABLE `coupon_issues` (
  `id` varchar(64) NOT NULL,
  `status` enum('ISSUED','USED') NOT NULL DEFAULT 'ISSUED',
  `order_id` varchar(64) NULL,
  `issued_at` datetime(6) NOT NULL,
  `coupon_id` varchar(64) NOT NULL,
  `user_id` varchar(64) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `couponissue_user_id_issued_at` (`user_id`, `issued_at`),
  INDEX `coupon_issues_coupons_issues` (`coupon_id`),
  CONSTRAINT `coupon_issues_coupons_issues` FOREIGN KEY (`coupon_id`) REFERENCES `coupons` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION,
  CONSTRAINT `coupon_issues_users_coupon_issues` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "orders" table
CREATE TABLE `orders` (
  `id` varchar(64) NOT NULL,
  `status` enum('PENDING','PAID','CANCELLED','EXPIRED','FAILED') NOT NULL DEFAULT 'PENDING',
  `settled` bool NOT NULL DEFAULT 0,
  `failure_code` varchar(64) NOT NULL DEFAULT '',
  `failure_reason` varchar(500) NOT NULL DEFAULT '',
  `subtotal_minor` bigint NOT NULL,
  `discount_minor` bigint NOT NULL,
  `total_minor` bigint NOT NULL,
  `currency` varchar(3) NOT NULL,
  `coupon_issue_id` varchar(64) NULL,
  `coupon_spent` bool NOT NULL DEFAULT 0,
  `expires_at` datetime(6) NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  `user_id` varchar(64) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `order_settled_expires_at` (`settled`, `expires_at`),
  INDEX `order_user_id_created_at_id` (`user_id`, `created_at`, `id`),
  CONSTRAINT `orders_users_orders` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "products" table
CREATE TABLE `products` (
  `id` varchar(64) NOT NULL,
  `sku` varchar(64) NOT NULL,
  `name` varchar(200) NOT NULL,
  `description` varchar(2000) NOT NULL DEFAULT '',
  `price_minor` bigint NOT NULL,
  `currency` varchar(3) NOT NULL,
  `version` bigint NOT NULL DEFAULT 1,
  `archived_at` datetime(6) NULL,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE INDEX `sku` (`sku`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "order_lines" table
CREATE TABLE `order_lines` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `position` bigint NOT NULL,
  `quantity` bigint NOT NULL,
  `unit_price_minor` bigint NOT NULL,
  `order_id` varchar(64) NOT NULL,
  `product_id` varchar(64) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE INDEX `orderline_order_id_position` (`order_id`, `position`),
  INDEX `order_lines_products_order_lines` (`product_id`),
  CONSTRAINT `order_lines_orders_lines` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION,
  CONSTRAINT `order_lines_products_order_lines` FOREIGN KEY (`product_id`) REFERENCES `products` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "payments" table
CREATE TABLE `payments` (
  `id` varchar(64) NOT NULL,
  `method` enum('POINTS','ACCOUNT','CARD') NOT NULL,
  `status` enum('AUTHORIZED','CAPTURED','DECLINED','REFUNDED') NOT NULL,
  `amount_minor` bigint NOT NULL,
  `currency` varchar(3) NOT NULL,
  `account_id` varchar(64) NULL,
  `reference` varchar(100) NOT NULL DEFAULT '',
  `failure_reason` varchar(500) NOT NULL DEFAULT '',
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  `order_id` varchar(64) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE INDEX `order_id` (`order_id`),
  CONSTRAINT `payments_orders_payment` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
