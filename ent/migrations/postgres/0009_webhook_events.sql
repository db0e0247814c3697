-- Create "webhook_events" table
CREATE TABLE "webhook_events" (
  "id" character varying NOT NULL,
  "received_at" timestamptz NOT NULL,
  PRIMARY KEY ("id")
);
-- Create index "webhookevent_received_at" to table: "webhook_events"
CREATE INDEX "webhookevent_received_at" ON "webhook_events" ("received_at");
