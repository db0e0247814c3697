-- Modify "products" table
ALTER TABLE `products` ADD COLUMN `imported_stock` bigint NULL, ADD COLUMN `imports` bigint NOT NULL DEFAULT 0;
