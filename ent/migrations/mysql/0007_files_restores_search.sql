-- Modify "instances" table
ALTER TABLE `instances` ADD COLUMN `address` varchar(255) NOT NULL DEFAULT '';
-- Modify "products" table
ALTER TABLE `products` MODIFY COLUMN `sku` varchar(255) NOT NULL, MODIFY COLUMN `name` varchar(600) NOT NULL, ADD INDEX `product_created_at_id` (`created_at`, `id`), ADD INDEX `product_name_id` (`name`, `id`), ADD INDEX `product_price_minor_id` (`price_minor`, `id`);
-- Create "database_marks" table
CREATE TABLE `database_marks` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `name` varchar(64) NOT NULL,
  `moments` json NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "search_documents" table
CREATE TABLE `search_documents` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `product_id` varchar(64) NOT NULL,
  `name` varchar(600) NOT NULL,
  `price_minor` bigint NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `archived` bool NOT NULL DEFAULT 0,
  `version` bigint NOT NULL,
  `words` longtext NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `searchdocument_created_at_product_id` (`created_at`, `product_id`),
  INDEX `searchdocument_name_product_id` (`name`, `product_id`),
  INDEX `searchdocument_price_minor_product_id` (`price_minor`, `product_id`),
  UNIQUE INDEX `searchdocument_product_id` (`product_id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- By hand, as ent has no table without an ID: create "search_postings" table
CREATE TABLE `search_postings` (
  `word` varchar(64) NOT NULL,
  `document_id` bigint NOT NULL,
  PRIMARY KEY (`word`, `document_id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
