-- Drop index "order_settled_expires_at" from table: "orders"
DROP INDEX `order_settled_expires_at`;
-- Add columns to table: "orders"
ALTER TABLE `orders` ADD COLUMN `next_attempt_at` datetime NULL;
ALTER TABLE `orders` ADD COLUMN `attempts` integer NOT NULL DEFAULT 0;
ALTER TABLE `orders` ADD COLUMN `last_error` text NOT NULL DEFAULT '';
-- What is owed is due when it was before
UPDATE `orders` SET `next_attempt_at` = `expires_at`;
-- Create index "order_settled_next_attempt_at" to table: "orders"
CREATE INDEX `order_settled_next_attempt_at` ON `orders` (`settled`, `next_attempt_at`);
-- Create index "order_settled_attempts" to table: "orders"
CREATE INDEX `order_settled_attempts` ON `orders` (`settled`, `attempts`);
