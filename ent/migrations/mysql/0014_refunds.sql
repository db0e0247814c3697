-- Modify "order_lines" table
ALTER TABLE `order_lines` ADD CONSTRAINT `order_lines_returned` CHECK (`returned` >= 0 and `returned` <= `quantity`), ADD COLUMN `returned` bigint NOT NULL DEFAULT 0;
-- Modify "payments" table
ALTER TABLE `payments` ADD CONSTRAINT `payments_refunds` CHECK (`refunding_minor` >= 0 and `refunded_minor` >= 0 and `refunding_minor` + `refunded_minor` <= `amount_minor`), ADD COLUMN `refunding_minor` bigint NOT NULL DEFAULT 0, ADD COLUMN `refunded_minor` bigint NOT NULL DEFAULT 0;
-- Modify "orders" table
ALTER TABLE `orders` ADD COLUMN `refund_count` bigint NOT NULL DEFAULT 0, ADD COLUMN `fulfilment` enum('UNFULFILLED','FULFILLED') NOT NULL DEFAULT 'UNFULFILLED', ADD COLUMN `fulfilled_at` datetime(6) NULL, ADD COLUMN `tracking` varchar(500) NOT NULL DEFAULT '';
-- Create "refunds" table
CREATE TABLE `refunds` (
  `id` varchar(64) NOT NULL,
  `method` enum('POINTS','ACCOUNT','CARD') NOT NULL,
  `status` enum('REFUNDING','REFUNDED','FAILED','UNKNOWN') NOT NULL,
  `amount_minor` bigint NOT NULL,
  `currency` varchar(3) NOT NULL,
  `attempt_id` varchar(64) NULL,
  `restock` bool NOT NULL,
  `restocked_at` datetime(6) NULL,
  `reason` varchar(500) NOT NULL,
  `administrator` varchar(64) NOT NULL,
  `failure_reason` varchar(500) NOT NULL DEFAULT '',
  `look_at` datetime(6) NULL,
  `looks` bigint NOT NULL DEFAULT 0,
  `last_error` varchar(500) NOT NULL DEFAULT '',
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  `order_id` varchar(64) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `refund_look_at` (`look_at`),
  INDEX `refund_order_id` (`order_id`),
  CONSTRAINT `refunds_orders_refunds` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "refund_lines" table
CREATE TABLE `refund_lines` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `quantity` bigint NOT NULL,
  `amount_minor` bigint NOT NULL,
  `order_line_id` bigint NOT NULL,
  `product_id` varchar(64) NOT NULL,
  `refund_id` varchar(64) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE INDEX `refundline_refund_id_order_line_id` (`refund_id`, `order_line_id`),
  INDEX `refund_lines_order_lines_refund_lines` (`order_line_id`),
  INDEX `refund_lines_products_refund_lines` (`product_id`),
  CONSTRAINT `refund_lines_order_lines_refund_lines` FOREIGN KEY (`order_line_id`) REFERENCES `order_lines` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION,
  CONSTRAINT `refund_lines_products_refund_lines` FOREIGN KEY (`product_id`) REFERENCES `products` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION,
  CONSTRAINT `refund_lines_refunds_lines` FOREIGN KEY (`refund_id`) REFERENCES `refunds` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- What was given back before is all of the payment
UPDATE `payments` SET `refunded_minor` = `amount_minor` WHERE `status` = 'REFUNDED';
