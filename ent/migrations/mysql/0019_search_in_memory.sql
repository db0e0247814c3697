-- Modify "search_documents" table
ALTER TABLE `search_documents` ADD COLUMN `revision` bigint NOT NULL DEFAULT 0, DROP INDEX `searchdocument_created_at_product_id`, DROP INDEX `searchdocument_name_product_id`, DROP INDEX `searchdocument_price_minor_product_id`, ADD INDEX `searchdocument_revision` (`revision`);
-- Create "search_revisions" table
CREATE TABLE `search_revisions` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `revision` bigint NOT NULL DEFAULT 0,
  `token` bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- By hand: the row that is locked
INSERT INTO `search_revisions` (`id`, `revision`) VALUES (1, 1);
-- By hand, as ent did not know it: drop "search_postings" table
DROP TABLE `search_postings`;
