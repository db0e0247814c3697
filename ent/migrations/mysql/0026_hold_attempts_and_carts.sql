-- Modify "carts" table
ALTER TABLE `carts` ADD INDEX `cart_user_id_updated_at` (`user_id`, `updated_at`);
-- Modify "holds" table
ALTER TABLE `holds` ADD INDEX `hold_status_attempts` (`status`, `attempts`);
