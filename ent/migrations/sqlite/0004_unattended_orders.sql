-- Add column to table: "orders"
ALTER TABLE `orders` ADD COLUMN `unattended` bool NOT NULL DEFAULT false;
