-- Modify "orders" table
ALTER TABLE `orders` ADD COLUMN `next_attempt_at` datetime(6) NULL, ADD COLUMN `attempts` bigint NOT NULL DEFAULT 0, ADD COLUMN `last_error` varchar(500) NOT NULL DEFAULT '', DROP INDEX `order_settled_expires_at`, ADD INDEX `order_settled_attempts` (`settled`, `attempts`), ADD INDEX `order_settled_next_attempt_at` (`settled`, `next_attempt_at`);
-- What is owed is due when it was before
UPDATE `orders` SET `next_attempt_at` = `expires_at`;
