-- Create "carts" table
CREATE TABLE `carts` (
  `id` text NOT NULL,
  `user_id` text NULL,
  `lines` json NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `order_id` text NULL,
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Create index "cart_updated_at" to table: "carts"
CREATE INDEX `cart_updated_at` ON `carts` (`updated_at`);
