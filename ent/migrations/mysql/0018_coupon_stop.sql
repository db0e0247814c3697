-- Modify "coupons" table
ALTER TABLE `coupons` ADD COLUMN `stopped_at` datetime(6) NULL, ADD COLUMN `version` bigint NOT NULL DEFAULT 1;
