-- Create index "orderline_limit_balance" to table: "order_lines"
CREATE INDEX "orderline_limit_balance" ON "order_lines" ("limit_balance") WHERE (limit_balance IS NOT NULL);
-- Create index "order_counted_user_id" to table: "orders"
CREATE INDEX "order_counted_user_id" ON "orders" ("counted", "user_id") WHERE (counted = true);
-- Modify "scheduler_jobs" table
ALTER TABLE "scheduler_jobs" ADD COLUMN "position" character varying NOT NULL DEFAULT '';
