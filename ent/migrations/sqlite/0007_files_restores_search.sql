-- Disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
-- Create "new_instances" table
CREATE TABLE `new_instances` (
  `id` text NOT NULL,
  `host` text NOT NULL,
  `address` text NOT NULL DEFAULT (''),
  `strategies` json NOT NULL,
  `started_at` datetime NOT NULL,
  `heartbeat_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Copy rows from old table "instances" to new temporary table "new_instances"
INSERT INTO `new_instances` (`id`, `host`, `strategies`, `started_at`, `heartbeat_at`) SELECT `id`, `host`, `strategies`, `started_at`, `heartbeat_at` FROM `instances`;
-- Drop "instances" table after copying rows
DROP TABLE `instances`;
-- Rename temporary table "new_instances" to "instances"
ALTER TABLE `new_instances` RENAME TO `instances`;
-- Create index "product_created_at_id" to table: "products"
CREATE INDEX `product_created_at_id` ON `products` (`created_at`, `id`);
-- Create index "product_name_id" to table: "products"
CREATE INDEX `product_name_id` ON `products` (`name`, `id`);
-- Create index "product_price_minor_id" to table: "products"
CREATE INDEX `product_price_minor_id` ON `products` (`price_minor`, `id`);
-- Create "database_marks" table
CREATE TABLE `database_marks` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `name` text NOT NULL,
  `moments` json NOT NULL,
  `updated_at` datetime NOT NULL
);
-- Create "search_documents" table
CREATE TABLE `search_documents` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `product_id` text NOT NULL,
  `name` text NOT NULL,
  `price_minor` integer NOT NULL,
  `created_at` datetime NOT NULL,
  `archived` bool NOT NULL DEFAULT (false),
  `version` integer NOT NULL,
  `words` text NOT NULL
);
-- Create index "searchdocument_product_id" to table: "search_documents"
CREATE UNIQUE INDEX `searchdocument_product_id` ON `search_documents` (`product_id`);
-- Create index "searchdocument_created_at_product_id" to table: "search_documents"
CREATE INDEX `searchdocument_created_at_product_id` ON `search_documents` (`created_at`, `product_id`);
-- Create index "searchdocument_name_product_id" to table: "search_documents"
CREATE INDEX `searchdocument_name_product_id` ON `search_documents` (`name`, `product_id`);
-- Create index "searchdocument_price_minor_product_id" to table: "search_documents"
CREATE INDEX `searchdocument_price_minor_product_id` ON `search_documents` (`price_minor`, `product_id`);
-- Enable back the enforcement of foreign-keys constraints
PRAGMA foreign_keys = on;
-- By hand, as ent has no table without an ID: create "search_postings" table
CREATE TABLE `search_postings` (
  `word` text NOT NULL,
  `document_id` integer NOT NULL,
  PRIMARY KEY (`word`, `document_id`)
) WITHOUT ROWID;
