-- Modify "adjustments" table
ALTER TABLE `adjustments` ADD COLUMN `variant_id` varchar(64) NULL;
-- By hand
UPDATE `adjustments` SET `variant_id` = CONCAT('var_', SUBSTRING(`subject`, 6)) WHERE `family` = 'STOCK';
-- Modify "hold_lines" table
ALTER TABLE `hold_lines` ADD COLUMN `variant_id` varchar(64) NOT NULL;
-- By hand
UPDATE `hold_lines` SET `variant_id` = CONCAT('var_', SUBSTRING(`product_id`, 6));
-- Modify "order_lines" table
ALTER TABLE `order_lines` ADD COLUMN `variant_id` varchar(64) NOT NULL, ADD COLUMN `variant_title` varchar(771) NOT NULL DEFAULT '';
-- By hand
UPDATE `order_lines` SET `variant_id` = CONCAT('var_', SUBSTRING(`product_id`, 6));
-- Create "product_variants" table
CREATE TABLE `product_variants` (
  `id` varchar(64) NOT NULL,
  `sku` varchar(255) NOT NULL,
  `option_values` json NULL,
  `combination` varchar(64) NOT NULL DEFAULT '',
  `price_minor` bigint NOT NULL,
  `currency` varchar(3) NOT NULL,
  `position` bigint NOT NULL,
  `imported_stock` bigint NULL,
  `imports` bigint NOT NULL DEFAULT 0,
  `limit_quantity` bigint NOT NULL DEFAULT 0,
  `limit_hours` bigint NOT NULL DEFAULT 0,
  `version` bigint NOT NULL DEFAULT 1,
  `archived_at` datetime(6) NULL,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  `product_id` varchar(64) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE INDEX `productvariant_product_id_combination` (`product_id`, `combination`),
  UNIQUE INDEX `sku` (`sku`),
  CONSTRAINT `product_variants_products_variants` FOREIGN KEY (`product_id`) REFERENCES `products` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- By hand: each product has one variant, whose identifier has the same suffix, so that the key of its stock stays
INSERT INTO `product_variants` (`id`, `product_id`, `sku`, `combination`, `price_minor`, `currency`, `position`, `imported_stock`, `imports`, `limit_quantity`, `limit_hours`, `version`, `archived_at`, `created_at`, `updated_at`)
SELECT CONCAT('var_', SUBSTRING(`id`, 6)), `id`, `sku`, '', `price_minor`, `currency`, 0, `imported_stock`, `imports`, `limit_quantity`, `limit_hours`, 1, NULL, `created_at`, `updated_at` FROM `products`;
-- Modify "products" table
ALTER TABLE `products` DROP COLUMN `imported_stock`, DROP COLUMN `imports`, ADD COLUMN `options` json NULL, ADD COLUMN `max_price_minor` bigint NOT NULL, ADD COLUMN `variant_count` bigint NOT NULL DEFAULT 1, DROP INDEX `sku`;
-- By hand
UPDATE `products` SET `max_price_minor` = `price_minor`;
-- Modify "refund_lines" table
ALTER TABLE `refund_lines` ADD COLUMN `variant_id` varchar(64) NOT NULL;
-- By hand
UPDATE `refund_lines` SET `variant_id` = CONCAT('var_', SUBSTRING(`product_id`, 6));
-- Modify "search_documents" table
ALTER TABLE `search_documents` ADD COLUMN `other_prices` longtext NULL;
-- By hand: the lines of carts name variants, and alerts are of variants. MySQL writes JSON with a space
UPDATE `carts` SET `lines` = REPLACE(REPLACE(`lines`, '"productId":"prod_', '"variantId":"var_'), '"productId": "prod_', '"variantId": "var_');
UPDATE `stock_alerts` SET `id` = CONCAT('var_', SUBSTRING(`id`, 6));
