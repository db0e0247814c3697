-- Create "limit_drifts" table
CREATE TABLE `limit_drifts` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `balance` text NOT NULL,
  `counted` integer NOT NULL,
  `ordered` integer NOT NULL,
  `corrected` bool NOT NULL DEFAULT (false),
  `seen_at` datetime NOT NULL
);
-- Create index "limitdrift_corrected_balance" to table: "limit_drifts"
CREATE INDEX `limitdrift_corrected_balance` ON `limit_drifts` (`corrected`, `balance`);
-- Create index "limitdrift_seen_at" to table: "limit_drifts"
CREATE INDEX `limitdrift_seen_at` ON `limit_drifts` (`seen_at`);
