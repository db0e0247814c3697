-- Modify "orders" table
ALTER TABLE "orders" ADD COLUMN "counted" boolean NOT NULL DEFAULT false;
