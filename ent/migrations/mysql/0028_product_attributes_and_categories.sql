-- Create "categories" table
CREATE TABLE `categories` (
  `id` varchar(64) NOT NULL,
  `name` varchar(200) NOT NULL,
  `handle` varchar(255) NOT NULL,
  `position` bigint NOT NULL,
  `version` bigint NOT NULL DEFAULT 1,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  `parent_id` varchar(64) NULL,
  PRIMARY KEY (`id`),
  INDEX `categories_categories_children` (`parent_id`),
  UNIQUE INDEX `handle` (`handle`),
  CONSTRAINT `categories_categories_children` FOREIGN KEY (`parent_id`) REFERENCES `categories` (`id`) ON UPDATE RESTRICT ON DELETE SET NULL
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "category_trees" table
CREATE TABLE `category_trees` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `token` bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Modify "products" table
ALTER TABLE `products` ADD COLUMN `handle` varchar(255) NULL, ADD COLUMN `vendor` varchar(255) NOT NULL DEFAULT '', ADD COLUMN `product_type` varchar(255) NOT NULL DEFAULT '', ADD COLUMN `tags` json NULL, ADD UNIQUE INDEX `handle` (`handle`);
-- Create "product_categories" table
CREATE TABLE `product_categories` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `position` bigint NOT NULL,
  `category_id` varchar(64) NOT NULL,
  `product_id` varchar(64) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `productcategory_category_id` (`category_id`),
  UNIQUE INDEX `productcategory_product_id_category_id` (`product_id`, `category_id`),
  CONSTRAINT `product_categories_categories_memberships` FOREIGN KEY (`category_id`) REFERENCES `categories` (`id`) ON UPDATE RESTRICT ON DELETE CASCADE,
  CONSTRAINT `product_categories_products_category_memberships` FOREIGN KEY (`product_id`) REFERENCES `products` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "product_images" table
CREATE TABLE `product_images` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `position` bigint NOT NULL,
  `url` varchar(2048) NOT NULL,
  `alt_text` varchar(512) NOT NULL DEFAULT '',
  `width` bigint NULL,
  `height` bigint NULL,
  `product_id` varchar(64) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE INDEX `productimage_product_id_position` (`product_id`, `position`),
  CONSTRAINT `product_images_products_images` FOREIGN KEY (`product_id`) REFERENCES `products` (`id`) ON UPDATE RESTRICT ON DELETE NO ACTION
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- By hand: the row that is locked
INSERT INTO `category_trees` (`id`, `token`) VALUES (1, 0);
