-- Modify "payment_attempts" table
ALTER TABLE `payment_attempts` ADD COLUMN `token` varchar(200) NOT NULL DEFAULT '';
