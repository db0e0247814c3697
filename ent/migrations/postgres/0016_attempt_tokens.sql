-- Modify "payment_attempts" table
ALTER TABLE "payment_attempts" ADD COLUMN "token" character varying NOT NULL DEFAULT '';
