-- Disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
-- Create "product_variants" table
CREATE TABLE `product_variants` (
  `id` text NOT NULL,
  `sku` text NOT NULL,
  `option_values` json NULL,
  `combination` text NOT NULL DEFAULT (''),
  `price_minor` integer NOT NULL,
  `currency` text NOT NULL,
  `position` integer NOT NULL,
  `imported_stock` integer NULL,
  `imports` integer NOT NULL DEFAULT (0),
  `limit_quantity` integer NOT NULL DEFAULT (0),
  `limit_hours` integer NOT NULL DEFAULT (0),
  `version` integer NOT NULL DEFAULT (1),
  `archived_at` datetime NULL,
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  `product_id` text NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `product_variants_products_variants` FOREIGN KEY (`product_id`) REFERENCES `products` (`id`) ON DELETE NO ACTION
);
-- Create index "product_variants_sku_key" to table: "product_variants"
CREATE UNIQUE INDEX `product_variants_sku_key` ON `product_variants` (`sku`);
-- Create index "productvariant_product_id_combination" to table: "product_variants"
CREATE UNIQUE INDEX `productvariant_product_id_combination` ON `product_variants` (`product_id`, `combination`);
-- By hand: each product has one variant, whose identifier has the same suffix, so that the key of its stock stays
INSERT INTO `product_variants` (`id`, `product_id`, `sku`, `combination`, `price_minor`, `currency`, `position`, `imported_stock`, `imports`, `limit_quantity`, `limit_hours`, `version`, `archived_at`, `created_at`, `updated_at`)
SELECT 'var_' || substr(`id`, 6), `id`, `sku`, '', `price_minor`, `currency`, 0, `imported_stock`, `imports`, `limit_quantity`, `limit_hours`, 1, NULL, `created_at`, `updated_at` FROM `products`;
-- Add column "variant_id" to table: "adjustments"
ALTER TABLE `adjustments` ADD COLUMN `variant_id` text NULL;
-- By hand
UPDATE `adjustments` SET `variant_id` = 'var_' || substr(`subject`, 6) WHERE `family` = 'STOCK';
-- Create "new_products" table
CREATE TABLE `new_products` (
  `id` text NOT NULL,
  `sku` text NOT NULL,
  `name` text NOT NULL,
  `description` text NOT NULL DEFAULT (''),
  `options` json NULL,
  `price_minor` integer NOT NULL,
  `max_price_minor` integer NOT NULL,
  `currency` text NOT NULL,
  `variant_count` integer NOT NULL DEFAULT (1),
  `version` integer NOT NULL DEFAULT (1),
  `limit_quantity` integer NOT NULL DEFAULT (0),
  `limit_hours` integer NOT NULL DEFAULT (0),
  `archived_at` datetime NULL,
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  `handle` text NULL,
  `vendor` text NOT NULL DEFAULT '',
  `product_type` text NOT NULL DEFAULT '',
  `tags` json NULL,
  PRIMARY KEY (`id`)
);
-- Copy rows from old table "products" to new temporary table "new_products"
INSERT INTO `new_products` (`id`, `sku`, `name`, `description`, `price_minor`, `max_price_minor`, `currency`, `version`, `limit_quantity`, `limit_hours`, `archived_at`, `created_at`, `updated_at`, `handle`, `vendor`, `product_type`, `tags`) SELECT `id`, `sku`, `name`, `description`, `price_minor`, `price_minor`, `currency`, `version`, `limit_quantity`, `limit_hours`, `archived_at`, `created_at`, `updated_at`, `handle`, `vendor`, `product_type`, `tags` FROM `products`;
-- Drop "products" table after copying rows
DROP TABLE `products`;
-- Rename temporary table "new_products" to "products"
ALTER TABLE `new_products` RENAME TO `products`;
-- Create index "product_created_at_id" to table: "products"
CREATE INDEX `product_created_at_id` ON `products` (`created_at`, `id`);
-- Create index "product_name_id" to table: "products"
CREATE INDEX `product_name_id` ON `products` (`name`, `id`);
-- Create index "product_price_minor_id" to table: "products"
CREATE INDEX `product_price_minor_id` ON `products` (`price_minor`, `id`);
-- Create index "products_handle_key" to table: "products"
CREATE UNIQUE INDEX `products_handle_key` ON `products` (`handle`);
-- Create "new_order_lines" table
CREATE TABLE `new_order_lines` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `variant_id` text NOT NULL,
  `variant_title` text NOT NULL DEFAULT (''),
  `position` integer NOT NULL,
  `quantity` integer NOT NULL,
  `unit_price_minor` integer NOT NULL,
  `limit_balance` text NULL,
  `returned` integer NOT NULL DEFAULT (0),
  `order_id` text NOT NULL,
  `product_id` text NOT NULL,
  CONSTRAINT `order_lines_orders_lines` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `order_lines_products_order_lines` FOREIGN KEY (`product_id`) REFERENCES `products` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `order_lines_returned` CHECK (returned >= 0 AND returned <= quantity)
);
-- Copy rows from old table "order_lines" to new temporary table "new_order_lines"
INSERT INTO `new_order_lines` (`id`, `variant_id`, `position`, `quantity`, `unit_price_minor`, `limit_balance`, `returned`, `order_id`, `product_id`) SELECT `id`, 'var_' || substr(`product_id`, 6), `position`, `quantity`, `unit_price_minor`, `limit_balance`, `returned`, `order_id`, `product_id` FROM `order_lines`;
-- Drop "order_lines" table after copying rows
DROP TABLE `order_lines`;
-- Rename temporary table "new_order_lines" to "order_lines"
ALTER TABLE `new_order_lines` RENAME TO `order_lines`;
-- Create index "orderline_order_id_position" to table: "order_lines"
CREATE UNIQUE INDEX `orderline_order_id_position` ON `order_lines` (`order_id`, `position`);
-- Create index "orderline_limit_balance" to table: "order_lines"
CREATE INDEX `orderline_limit_balance` ON `order_lines` (`limit_balance`) WHERE limit_balance IS NOT NULL;
-- By hand, as SQLite adds no column that must not be null: create "new_refund_lines" table
CREATE TABLE `new_refund_lines` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `variant_id` text NOT NULL,
  `quantity` integer NOT NULL,
  `amount_minor` integer NOT NULL,
  `order_line_id` integer NOT NULL,
  `product_id` text NOT NULL,
  `refund_id` text NOT NULL,
  CONSTRAINT `refund_lines_order_lines_refund_lines` FOREIGN KEY (`order_line_id`) REFERENCES `order_lines` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `refund_lines_products_refund_lines` FOREIGN KEY (`product_id`) REFERENCES `products` (`id`) ON DELETE NO ACTION,
  CONSTRAINT `refund_lines_refunds_lines` FOREIGN KEY (`refund_id`) REFERENCES `refunds` (`id`) ON DELETE NO ACTION
);
-- Copy rows from old table "refund_lines" to new temporary table "new_refund_lines"
INSERT INTO `new_refund_lines` (`id`, `variant_id`, `quantity`, `amount_minor`, `order_line_id`, `product_id`, `refund_id`) SELECT `id`, 'var_' || substr(`product_id`, 6), `quantity`, `amount_minor`, `order_line_id`, `product_id`, `refund_id` FROM `refund_lines`;
-- Drop "refund_lines" table after copying rows
DROP TABLE `refund_lines`;
-- Rename temporary table "new_refund_lines" to "refund_lines"
ALTER TABLE `new_refund_lines` RENAME TO `refund_lines`;
-- Create index "refundline_refund_id_order_line_id" to table: "refund_lines"
CREATE UNIQUE INDEX `refundline_refund_id_order_line_id` ON `refund_lines` (`refund_id`, `order_line_id`);
-- Add column "other_prices" to table: "search_documents"
ALTER TABLE `search_documents` ADD COLUMN `other_prices` text NULL;
-- By hand, too: create "new_hold_lines" table
CREATE TABLE `new_hold_lines` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `product_id` text NOT NULL,
  `variant_id` text NOT NULL,
  `position` integer NOT NULL,
  `quantity` integer NOT NULL,
  `limit_balance` text NULL,
  `hold_id` text NOT NULL,
  CONSTRAINT `hold_lines_holds_lines` FOREIGN KEY (`hold_id`) REFERENCES `holds` (`id`) ON DELETE CASCADE
);
-- Copy rows from old table "hold_lines" to new temporary table "new_hold_lines"
INSERT INTO `new_hold_lines` (`id`, `product_id`, `variant_id`, `position`, `quantity`, `limit_balance`, `hold_id`) SELECT `id`, `product_id`, 'var_' || substr(`product_id`, 6), `position`, `quantity`, `limit_balance`, `hold_id` FROM `hold_lines`;
-- Drop "hold_lines" table after copying rows
DROP TABLE `hold_lines`;
-- Rename temporary table "new_hold_lines" to "hold_lines"
ALTER TABLE `new_hold_lines` RENAME TO `hold_lines`;
-- Create index "holdline_hold_id_position" to table: "hold_lines"
CREATE UNIQUE INDEX `holdline_hold_id_position` ON `hold_lines` (`hold_id`, `position`);
-- Create index "holdline_limit_balance" to table: "hold_lines"
CREATE INDEX `holdline_limit_balance` ON `hold_lines` (`limit_balance`) WHERE limit_balance IS NOT NULL;
-- By hand: the lines of carts name variants, and alerts are of variants
UPDATE `carts` SET `lines` = REPLACE(`lines`, '"productId":"prod_', '"variantId":"var_');
UPDATE `stock_alerts` SET `id` = 'var_' || substr(`id`, 6);
-- Enable back the enforcement of foreign-keys constraints
PRAGMA foreign_keys = on;
