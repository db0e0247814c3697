-- Create "payment_attempts" table
CREATE TABLE `payment_attempts` (
  `id` text NOT NULL,
  `open_order_id` text NULL,
  `gateway` text NOT NULL,
  `status` text NOT NULL,
  `amount_minor` integer NOT NULL,
  `currency` text NOT NULL,
  `reference` text NOT NULL DEFAULT (''),
  `reason` text NOT NULL DEFAULT (''),
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  `order_id` text NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `payment_attempts_orders_payment_attempts` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`) ON DELETE NO ACTION
);
-- Create index "payment_attempts_open_order_id_key" to table: "payment_attempts"
CREATE UNIQUE INDEX `payment_attempts_open_order_id_key` ON `payment_attempts` (`open_order_id`);
-- Create index "paymentattempt_order_id" to table: "payment_attempts"
CREATE INDEX `paymentattempt_order_id` ON `payment_attempts` (`order_id`);
