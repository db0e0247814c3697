-- Modify "order_lines" table
ALTER TABLE "order_lines" ADD COLUMN "limit_balance" character varying NULL;
-- Modify "products" table
ALTER TABLE "products" ADD COLUMN "limit_quantity" bigint NOT NULL DEFAULT 0, ADD COLUMN "limit_hours" bigint NOT NULL DEFAULT 0;
