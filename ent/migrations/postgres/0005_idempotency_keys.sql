-- Create "operations" table
CREATE TABLE "operations" (
  "id" uuid NOT NULL,
  "fingerprint" character varying NOT NULL,
  "created_at" timestamptz NOT NULL,
  PRIMARY KEY ("id")
);
-- Create index "operation_created_at" to table: "operations"
CREATE INDEX "operation_created_at" ON "operations" ("created_at");
