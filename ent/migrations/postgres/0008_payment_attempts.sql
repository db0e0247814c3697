-- Create "payment_attempts" table
CREATE TABLE "payment_attempts" (
  "id" character varying NOT NULL,
  "open_order_id" character varying NULL,
  "gateway" character varying NOT NULL,
  "status" character varying NOT NULL,
  "amount_minor" bigint NOT NULL,
  "currency" character varying NOT NULL,
  "reference" character varying NOT NULL DEFAULT '',
  "reason" character varying NOT NULL DEFAULT '',
  "created_at" timestamptz NOT NULL,
  "updated_at" timestamptz NOT NULL,
  "order_id" character varying NOT NULL,
  PRIMARY KEY ("id"),
  CONSTRAINT "payment_attempts_orders_payment_attempts" FOREIGN KEY ("order_id") REFERENCES "orders" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION
);
-- Create index "payment_attempts_open_order_id_key" to table: "payment_attempts"
CREATE UNIQUE INDEX "payment_attempts_open_order_id_key" ON "payment_attempts" ("open_order_id");
-- Create index "paymentattempt_order_id" to table: "payment_attempts"
CREATE INDEX "paymentattempt_order_id" ON "payment_attempts" ("order_id");
