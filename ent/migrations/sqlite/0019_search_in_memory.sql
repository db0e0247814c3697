-- Disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
-- Create "new_search_documents" table
CREATE TABLE `new_search_documents` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `product_id` text NOT NULL,
  `name` text NOT NULL,
  `price_minor` integer NOT NULL,
  `created_at` datetime NOT NULL,
  `archived` bool NOT NULL DEFAULT (false),
  `version` integer NOT NULL,
  `words` text NOT NULL,
  `revision` integer NOT NULL DEFAULT (0)
);
-- Copy rows from old table "search_documents" to new temporary table "new_search_documents"
INSERT INTO `new_search_documents` (`id`, `product_id`, `name`, `price_minor`, `created_at`, `archived`, `version`, `words`) SELECT `id`, `product_id`, `name`, `price_minor`, `created_at`, `archived`, `version`, `words` FROM `search_documents`;
-- Drop "search_documents" table after copying rows
DROP TABLE `search_documents`;
-- Rename temporary table "new_search_documents" to "search_documents"
ALTER TABLE `new_search_documents` RENAME TO `search_documents`;
-- Create index "searchdocument_product_id" to table: "search_documents"
CREATE UNIQUE INDEX `searchdocument_product_id` ON `search_documents` (`product_id`);
-- Create index "searchdocument_revision" to table: "search_documents"
CREATE INDEX `searchdocument_revision` ON `search_documents` (`revision`);
-- Create "search_revisions" table
CREATE TABLE `search_revisions` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `revision` integer NOT NULL DEFAULT (0),
  `token` integer NOT NULL DEFAULT (0)
);
-- By hand: the row that is locked
INSERT INTO `search_revisions` (`id`, `revision`) VALUES (1, 1);
-- By hand, as ent did not know it: drop "search_postings" table
DROP TABLE `search_postings`;
-- Enable back the enforcement of foreign-keys constraints
PRAGMA foreign_keys = on;
