-- Modify "orders" table
ALTER TABLE `orders` ADD COLUMN `counted` bool NOT NULL DEFAULT 0;
