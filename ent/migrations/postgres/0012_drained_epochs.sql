-- Modify "family_strategies" table
ALTER TABLE "family_strategies" ADD COLUMN "opened_epoch" bigint NOT NULL DEFAULT 0, ADD COLUMN "drained_epoch" bigint NOT NULL DEFAULT 0;
