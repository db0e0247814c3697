-- Add column "contact" to table: "users"
ALTER TABLE `users` ADD COLUMN `contact` json NULL;
-- Add column "shipping_address" to table: "orders"
ALTER TABLE `orders` ADD COLUMN `shipping_address` json NULL;
-- Add column "contact" to table: "orders"
ALTER TABLE `orders` ADD COLUMN `contact` json NULL;
-- Create "customer_addresses" table
CREATE TABLE `customer_addresses` (
  `id` text NOT NULL,
  `address` json NOT NULL,
  `is_default` bool NOT NULL DEFAULT (false),
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  `user_id` text NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `customer_addresses_users_addresses` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE NO ACTION
);
-- Create index "customeraddress_user_id_created_at" to table: "customer_addresses"
CREATE INDEX `customeraddress_user_id_created_at` ON `customer_addresses` (`user_id`, `created_at`);
