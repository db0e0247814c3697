-- Modify "payment_attempts" table
ALTER TABLE "payment_attempts" ADD CONSTRAINT "payment_attempts_subject" CHECK (((order_id IS NOT NULL) AND (user_id IS NULL) AND (points IS NULL) AND (credited_at IS NULL)) OR ((order_id IS NULL) AND (open_order_id IS NULL) AND (user_id IS NOT NULL) AND (points IS NOT NULL) AND (points > 0))), ALTER COLUMN "order_id" DROP NOT NULL, ADD COLUMN "user_id" character varying NULL, ADD COLUMN "points" bigint NULL, ADD COLUMN "credited_at" timestamptz NULL, ADD COLUMN "client_secret" character varying NOT NULL DEFAULT '', ADD COLUMN "redirect_url" character varying NOT NULL DEFAULT '', ADD COLUMN "look_at" timestamptz NULL, ADD COLUMN "looks" bigint NOT NULL DEFAULT 0, ADD COLUMN "last_error" character varying NOT NULL DEFAULT '';
-- Create index "paymentattempt_look_at" to table: "payment_attempts"
CREATE INDEX "paymentattempt_look_at" ON "payment_attempts" ("look_at");
-- Modify "payments" table
ALTER TABLE "payments" ADD COLUMN "attempt_id" character varying NULL;
