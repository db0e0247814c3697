-- Create "payment_attempts" table
CREATE TABLE `payment_attempts` (
  `id` varchar(64) NOT NULL,
  `open_order_id` varchar(64) NULL,
  `gateway` varchar(64) NOT NULL,
  `status` enum('CREATED','AUTHORIZING','REQUIRES_ACTION','AUTHORIZED','CAPTURING','CAPTURED','REFUNDING','REFUNDED','DECLINED','VOIDING','VOIDED','UNKNOWN') NOT NULL,
  `amount_minor` bigint NOT NULL,
  `currency` varchar(3) NOT NULL,
  `reference` varchar(255) NOT NULL DEFAULT '',
  `reason` varchar(500) NOT NULL DEFAULT '',
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  `order_id` varchar(64) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE INDEX `open_order_id` (`open_order_id`),
  INDEX `paymentattempt_order_id` (`order_id`),
  CONSTRAINT `payment_attempts_orders_payment_attempts` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
