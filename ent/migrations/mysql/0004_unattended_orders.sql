-- Modify "orders" table
ALTER TABLE `orders` ADD COLUMN `unattended` bool NOT NULL DEFAULT 0;
