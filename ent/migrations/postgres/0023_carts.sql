-- Create "carts" table
CREATE TABLE "carts" (
  "id" character varying NOT NULL,
  "user_id" character varying NULL,
  "lines" jsonb NOT NULL,
  "version" bigint NOT NULL DEFAULT 1,
  "order_id" character varying NULL,
  "created_at" timestamptz NOT NULL,
  "updated_at" timestamptz NOT NULL,
  PRIMARY KEY ("id")
);
-- Create index "cart_updated_at" to table: "carts"
CREATE INDEX "cart_updated_at" ON "carts" ("updated_at");
