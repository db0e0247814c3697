-- Create "operations" table
CREATE TABLE `operations` (
  `id` char(36) NOT NULL,
  `fingerprint` varchar(64) NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `operation_created_at` (`created_at`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
