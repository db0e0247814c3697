-- Modify "coupons" table
ALTER TABLE "coupons" ADD COLUMN "stopped_at" timestamptz NULL, ADD COLUMN "version" bigint NOT NULL DEFAULT 1;
