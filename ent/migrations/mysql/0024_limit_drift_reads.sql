-- Modify "orders" table
ALTER TABLE `orders` ADD INDEX `order_counted_user_id` (`counted`, `user_id`);
-- Modify "order_lines" table
ALTER TABLE `order_lines` ADD INDEX `orderline_limit_balance` (`limit_balance`);
-- Modify "scheduler_jobs" table
ALTER TABLE `scheduler_jobs` ADD COLUMN `position` varchar(160) NOT NULL DEFAULT '';
