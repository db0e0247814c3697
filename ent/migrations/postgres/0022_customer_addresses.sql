-- Modify "orders" table
ALTER TABLE "orders" ADD COLUMN "shipping_address" jsonb NULL, ADD COLUMN "contact" jsonb NULL;
-- Modify "users" table
ALTER TABLE "users" ADD COLUMN "contact" jsonb NULL;
-- Create "customer_addresses" table
CREATE TABLE "customer_addresses" (
  "id" character varying NOT NULL,
  "address" jsonb NOT NULL,
  "is_default" boolean NOT NULL DEFAULT false,
  "created_at" timestamptz NOT NULL,
  "updated_at" timestamptz NOT NULL,
  "user_id" character varying NOT NULL,
  PRIMARY KEY ("id"),
  CONSTRAINT "customer_addresses_users_addresses" FOREIGN KEY ("user_id") REFERENCES "users" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION
);
-- Create index "customeraddress_user_id_created_at" to table: "customer_addresses"
CREATE INDEX "customeraddress_user_id_created_at" ON "customer_addresses" ("user_id", "created_at");
