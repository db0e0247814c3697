-- Disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
-- Add column "limit_balance" to table: "order_lines"
ALTER TABLE `order_lines` ADD COLUMN `limit_balance` text NULL;
-- Create "new_products" table
CREATE TABLE `new_products` (
  `id` text NOT NULL,
  `sku` text NOT NULL,
  `name` text NOT NULL,
  `description` text NOT NULL DEFAULT (''),
  `price_minor` integer NOT NULL,
  `currency` text NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `imported_stock` integer NULL,
  `imports` integer NOT NULL DEFAULT (0),
  `limit_quantity` integer NOT NULL DEFAULT (0),
  `limit_hours` integer NOT NULL DEFAULT (0),
  `archived_at` datetime NULL,
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Copy rows from old table "products" to new temporary table "new_products"
INSERT INTO `new_products` (`id`, `sku`, `name`, `description`, `price_minor`, `currency`, `version`, `imported_stock`, `imports`, `archived_at`, `created_at`, `updated_at`) SELECT `id`, `sku`, `name`, `description`, `price_minor`, `currency`, `version`, `imported_stock`, `imports`, `archived_at`, `created_at`, `updated_at` FROM `products`;
-- Drop "products" table after copying rows
DROP TABLE `products`;
-- Rename temporary table "new_products" to "products"
ALTER TABLE `new_products` RENAME TO `products`;
-- Create index "products_sku_key" to table: "products"
CREATE UNIQUE INDEX `products_sku_key` ON `products` (`sku`);
-- Create index "product_created_at_id" to table: "products"
CREATE INDEX `product_created_at_id` ON `products` (`created_at`, `id`);
-- Create index "product_name_id" to table: "products"
CREATE INDEX `product_name_id` ON `products` (`name`, `id`);
-- Create index "product_price_minor_id" to table: "products"
CREATE INDEX `product_price_minor_id` ON `products` (`price_minor`, `id`);
-- Enable back the enforcement of foreign-keys constraints
PRAGMA foreign_keys = on;
