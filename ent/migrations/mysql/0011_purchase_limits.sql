-- Modify "order_lines" table
ALTER TABLE `order_lines` ADD COLUMN `limit_balance` varchar(160) NULL;
-- Modify "products" table
ALTER TABLE `products` ADD COLUMN `limit_quantity` bigint NOT NULL DEFAULT 0, ADD COLUMN `limit_hours` bigint NOT NULL DEFAULT 0;
