-- Create "adjustments" table
CREATE TABLE `adjustments` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `change_id` char(36) NOT NULL,
  `family` varchar(16) NOT NULL,
  `subject` varchar(64) NOT NULL,
  `delta` bigint NOT NULL,
  `reason` varchar(500) NOT NULL DEFAULT '',
  `administrator` varchar(64) NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE INDEX `change_id` (`change_id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
