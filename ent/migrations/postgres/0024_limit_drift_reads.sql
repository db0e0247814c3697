-- Create index "order_counted_user_id" to table: "orders", before that of their lines: whoever places an order locks the tables so, too
CREATE INDEX "order_counted_user_id" ON "orders" ("counted", "user_id") WHERE (counted = true);
-- Create index "orderline_limit_balance" to table: "order_lines"
CREATE INDEX "orderline_limit_balance" ON "order_lines" ("limit_balance") WHERE (limit_balance IS NOT NULL);
-- Modify "scheduler_jobs" table
ALTER TABLE "scheduler_jobs" ADD COLUMN "position" character varying NOT NULL DEFAULT '';
