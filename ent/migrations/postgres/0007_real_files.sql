-- Modify "instances" table
ALTER TABLE "instances" ADD COLUMN "address" character varying NOT NULL DEFAULT '';
