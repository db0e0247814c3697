-- Modify "orders" table
ALTER TABLE `orders` ADD INDEX `order_created_at` (`created_at`);
-- Modify "payment_attempts" table
ALTER TABLE `payment_attempts` ADD COLUMN `matched_at` datetime(6) NULL, ADD INDEX `paymentattempt_reference` (`reference`), ADD INDEX `paymentattempt_updated_at` (`updated_at`);
-- Modify "refunds" table
ALTER TABLE `refunds` ADD COLUMN `matched_at` datetime(6) NULL, ADD INDEX `refund_updated_at` (`updated_at`);
-- Create "payment_drifts" table
CREATE TABLE `payment_drifts` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `gateway` varchar(64) NOT NULL,
  `kind` enum('CAPTURE_UNKNOWN','CAPTURE_NOT_RECORDED','CAPTURE_MISSING','CAPTURE_AMOUNT','CAPTURE_WITHOUT_ORDER','ORDER_WITHOUT_CAPTURE','REFUND_UNKNOWN','REFUND_NOT_RECORDED','REFUND_MISSING','REFUND_AMOUNT') NOT NULL,
  `subject` varchar(255) NOT NULL,
  `scope` varchar(255) NOT NULL,
  `order_id` varchar(64) NULL,
  `refund_id` varchar(64) NULL,
  `reference` varchar(255) NOT NULL DEFAULT '',
  `shop_minor` bigint NOT NULL,
  `gateway_minor` bigint NOT NULL,
  `currency` varchar(3) NOT NULL,
  `settled` bool NOT NULL DEFAULT 0,
  `found_at` datetime(6) NOT NULL,
  `seen_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE INDEX `paymentdrift_kind_subject_scope` (`kind`, `subject`, `scope`),
  INDEX `paymentdrift_seen_at` (`seen_at`),
  INDEX `paymentdrift_settled_scope` (`settled`, `scope`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "payment_reconciliations" table
CREATE TABLE `payment_reconciliations` (
  `id` varchar(64) NOT NULL,
  `day` datetime(6) NOT NULL,
  `phase` bigint NOT NULL DEFAULT 0,
  `position` varchar(255) NOT NULL DEFAULT '',
  PRIMARY KEY (`id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
