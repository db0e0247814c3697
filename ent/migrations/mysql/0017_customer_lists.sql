-- Modify "orders" table
ALTER TABLE `orders` DROP INDEX `order_created_at`, ADD INDEX `order_created_at_id` (`created_at`, `id`);
-- Modify "users" table
ALTER TABLE `users` ADD INDEX `user_created_at_id` (`created_at`, `id`);
