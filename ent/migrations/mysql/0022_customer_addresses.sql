-- Modify "orders" table
ALTER TABLE `orders` ADD COLUMN `shipping_address` json NULL, ADD COLUMN `contact` json NULL;
-- Modify "users" table
ALTER TABLE `users` ADD COLUMN `contact` json NULL;
-- Create "customer_addresses" table
CREATE TABLE `customer_addresses` (
  `id` varchar(64) NOT NULL,
  `address` json NOT NULL,
  `is_default` bool NOT NULL DEFAULT 0,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  `user_id` varchar(64) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `customeraddress_user_id_created_at` (`user_id`, `created_at`),
  CONSTRAINT `customer_addresses_users_addresses` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
