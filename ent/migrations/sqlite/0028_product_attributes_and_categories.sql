-- By hand, so that the table is not copied: add columns to table "products"
ALTER TABLE `products` ADD COLUMN `handle` text NULL;
ALTER TABLE `products` ADD COLUMN `vendor` text NOT NULL DEFAULT '';
ALTER TABLE `products` ADD COLUMN `product_type` text NOT NULL DEFAULT '';
ALTER TABLE `products` ADD COLUMN `tags` json NULL;
-- Create index "products_handle_key" to table: "products"
CREATE UNIQUE INDEX `products_handle_key` ON `products` (`handle`);
-- Create "categories" table
CREATE TABLE `categories` (
  `id` text NOT NULL,
  `name` text NOT NULL,
  `handle` text NOT NULL,
  `position` integer NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  `parent_id` text NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `categories_categories_children` FOREIGN KEY (`parent_id`) REFERENCES `categories` (`id`) ON DELETE SET NULL
);
-- Create index "categories_handle_key" to table: "categories"
CREATE UNIQUE INDEX `categories_handle_key` ON `categories` (`handle`);
-- Create "category_trees" table
CREATE TABLE `category_trees` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `token` integer NOT NULL DEFAULT (0)
);
-- Create "product_categories" table
CREATE TABLE `product_categories` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `position` integer NOT NULL,
  `category_id` text NOT NULL,
  `product_id` text NOT NULL,
  CONSTRAINT `product_categories_categories_memberships` FOREIGN KEY (`category_id`) REFERENCES `categories` (`id`) ON DELETE CASCADE,
  CONSTRAINT `product_categories_products_category_memberships` FOREIGN KEY (`product_id`) REFERENCES `products` (`id`) ON DELETE NO ACTION
);
-- Create index "productcategory_product_id_category_id" to table: "product_categories"
CREATE UNIQUE INDEX `productcategory_product_id_category_id` ON `product_categories` (`product_id`, `category_id`);
-- Create index "productcategory_category_id" to table: "product_categories"
CREATE INDEX `productcategory_category_id` ON `product_categories` (`category_id`);
-- Create "product_images" table
CREATE TABLE `product_images` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `position` integer NOT NULL,
  `url` text NOT NULL,
  `alt_text` text NOT NULL DEFAULT (''),
  `width` integer NULL,
  `height` integer NULL,
  `product_id` text NOT NULL,
  CONSTRAINT `product_images_products_images` FOREIGN KEY (`product_id`) REFERENCES `products` (`id`) ON DELETE NO ACTION
);
-- Create index "productimage_product_id_position" to table: "product_images"
CREATE UNIQUE INDEX `productimage_product_id_position` ON `product_images` (`product_id`, `position`);
-- By hand: the row that is locked
INSERT INTO `category_trees` (`id`, `token`) VALUES (1, 0);
