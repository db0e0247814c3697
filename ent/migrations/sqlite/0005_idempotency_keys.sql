-- Create "operations" table
CREATE TABLE `operations` (
  `id` uuid NOT NULL,
  `fingerprint` text NOT NULL,
  `created_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Create index "operation_created_at" to table: "operations"
CREATE INDEX `operation_created_at` ON `operations` (`created_at`);
