-- Drop index "order_settled_expires_at" from table: "orders"
DROP INDEX "order_settled_expires_at";
-- Modify "orders" table
ALTER TABLE "orders" ADD COLUMN "next_attempt_at" timestamptz NULL, ADD COLUMN "attempts" bigint NOT NULL DEFAULT 0, ADD COLUMN "last_error" character varying NOT NULL DEFAULT '';
-- What is owed is due when it was before
UPDATE "orders" SET "next_attempt_at" = "expires_at";
-- Create index "order_settled_attempts" to table: "orders"
CREATE INDEX "order_settled_attempts" ON "orders" ("settled", "attempts");
-- Create index "order_settled_next_attempt_at" to table: "orders"
CREATE INDEX "order_settled_next_attempt_at" ON "orders" ("settled", "next_attempt_at");
