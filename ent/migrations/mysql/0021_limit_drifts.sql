-- Create "limit_drifts" table
CREATE TABLE `limit_drifts` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `balance` varchar(160) NOT NULL,
  `counted` bigint NOT NULL,
  `ordered` bigint NOT NULL,
  `corrected` bool NOT NULL DEFAULT 0,
  `seen_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `limitdrift_corrected_balance` (`corrected`, `balance`),
  INDEX `limitdrift_seen_at` (`seen_at`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
