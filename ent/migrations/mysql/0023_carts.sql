-- Create "carts" table
CREATE TABLE `carts` (
  `id` varchar(64) NOT NULL,
  `user_id` varchar(64) NULL,
  `lines` json NOT NULL,
  `version` bigint NOT NULL DEFAULT 1,
  `order_id` varchar(64) NULL,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `cart_updated_at` (`updated_at`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
