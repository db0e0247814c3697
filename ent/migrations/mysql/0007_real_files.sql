-- Modify "instances" table
ALTER TABLE `instances` ADD COLUMN `address` varchar(255) NOT NULL DEFAULT '';
-- Modify "products" table
ALTER TABLE `products` MODIFY COLUMN `sku` varchar(255) NOT NULL, MODIFY COLUMN `name` varchar(1030) NOT NULL;
