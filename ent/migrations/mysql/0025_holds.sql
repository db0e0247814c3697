-- Create "holds" table
CREATE TABLE `holds` (
  `id` varchar(64) NOT NULL,
  `user_id` varchar(64) NOT NULL,
  `status` enum('ACTIVE','CONSUMED','RELEASED','EXPIRED') NOT NULL DEFAULT 'ACTIVE',
  `expires_at` datetime(6) NOT NULL,
  `order_id` varchar(64) NULL,
  `next_attempt_at` datetime(6) NOT NULL,
  `attempts` bigint NOT NULL DEFAULT 0,
  `last_error` varchar(500) NOT NULL DEFAULT '',
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `hold_status_next_attempt_at` (`status`, `next_attempt_at`),
  INDEX `hold_status_updated_at` (`status`, `updated_at`),
  INDEX `hold_user_id_created_at_id` (`user_id`, `created_at`, `id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "hold_lines" table
CREATE TABLE `hold_lines` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `product_id` varchar(64) NOT NULL,
  `position` bigint NOT NULL,
  `quantity` bigint NOT NULL,
  `limit_balance` varchar(160) NULL,
  `hold_id` varchar(64) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE INDEX `holdline_hold_id_position` (`hold_id`, `position`),
  INDEX `holdline_limit_balance` (`limit_balance`),
  CONSTRAINT `hold_lines_holds_lines` FOREIGN KEY (`hold_id`) REFERENCES `holds` (`id`) ON UPDATE RESTRICT ON DELETE CASCADE
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
