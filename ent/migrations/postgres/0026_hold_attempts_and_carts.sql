-- Create index "cart_user_id_updated_at" to table: "carts"
CREATE INDEX "cart_user_id_updated_at" ON "carts" ("user_id", "updated_at");
-- Create index "hold_status_attempts" to table: "holds"
CREATE INDEX "hold_status_attempts" ON "holds" ("status", "attempts");
