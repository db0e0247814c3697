-- Modify "orders" table
ALTER TABLE "orders" ADD COLUMN "unattended" boolean NOT NULL DEFAULT false;
