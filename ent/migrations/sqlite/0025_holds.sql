-- Create "holds" table
CREATE TABLE `holds` (
  `id` text NOT NULL,
  `user_id` text NOT NULL,
  `status` text NOT NULL DEFAULT ('ACTIVE'),
  `expires_at` datetime NOT NULL,
  `order_id` text NULL,
  `next_attempt_at` datetime NOT NULL,
  `attempts` integer NOT NULL DEFAULT (0),
  `last_error` text NOT NULL DEFAULT (''),
  `created_at` datetime NOT NULL,
  `updated_at` datetime NOT NULL,
  PRIMARY KEY (`id`)
);
-- Create index "hold_user_id_created_at_id" to table: "holds"
CREATE INDEX `hold_user_id_created_at_id` ON `holds` (`user_id`, `created_at`, `id`);
-- Create index "hold_status_next_attempt_at" to table: "holds"
CREATE INDEX `hold_status_next_attempt_at` ON `holds` (`status`, `next_attempt_at`);
-- Create index "hold_status_updated_at" to table: "holds"
CREATE INDEX `hold_status_updated_at` ON `holds` (`status`, `updated_at`);
-- Create "hold_lines" table
CREATE TABLE `hold_lines` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `product_id` text NOT NULL,
  `position` integer NOT NULL,
  `quantity` integer NOT NULL,
  `limit_balance` text NULL,
  `hold_id` text NOT NULL,
  CONSTRAINT `hold_lines_holds_lines` FOREIGN KEY (`hold_id`) REFERENCES `holds` (`id`) ON DELETE CASCADE
);
-- Create index "holdline_hold_id_position" to table: "hold_lines"
CREATE UNIQUE INDEX `holdline_hold_id_position` ON `hold_lines` (`hold_id`, `position`);
-- Create index "holdline_limit_balance" to table: "hold_lines"
CREATE INDEX `holdline_limit_balance` ON `hold_lines` (`limit_balance`) WHERE limit_balance IS NOT NULL;
