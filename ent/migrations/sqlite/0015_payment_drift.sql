-- Add column "matched_at" to table: "payment_attempts"
ALTER TABLE `payment_attempts` ADD COLUMN `matched_at` datetime NULL;
-- Create index "paymentattempt_updated_at" to table: "payment_attempts"
CREATE INDEX `paymentattempt_updated_at` ON `payment_attempts` (`updated_at`);
-- Create index "paymentattempt_reference" to table: "payment_attempts"
CREATE INDEX `paymentattempt_reference` ON `payment_attempts` (`reference`);
-- Create index "order_created_at" to table: "orders"
CREATE INDEX `order_created_at` ON `orders` (`created_at`);
-- Add column "matched_at" to table: "refunds"
ALTER TABLE `refunds` ADD COLUMN `matched_at` datetime NULL;
-- Create index "refund_updated_at" to table: "refunds"
CREATE INDEX `refund_updated_at` ON `refunds` (`updated_at`);
-- Create "payment_drifts" table
CREATE TABLE `payment_drifts` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `gateway` text NOT NULL,
  `kind` text NOT NULL,
  `subject` text NOT NULL,
  `scope` text NOT NULL,
  `order_id` text NULL,
  `refund_id` text NULL,
  `reference` text NOT NULL DEFAULT (''),
  `shop_minor` integer NOT NULL,
  `gateway_minor` integer NOT NULL,
  `currency` text NOT NULL,
  `settled` bool NOT NULL DEFAULT (false),
  `found_at` datetime NOT NULL,
  `seen_at` datetime NOT NULL
);
-- Create index "paymentdrift_kind_subject_scope" to table: "payment_drifts"
CREATE UNIQUE INDEX `paymentdrift_kind_subject_scope` ON `payment_drifts` (`kind`, `subject`, `scope`);
-- Create index "paymentdrift_settled_scope" to table: "payment_drifts"
CREATE INDEX `paymentdrift_settled_scope` ON `payment_drifts` (`settled`, `scope`);
-- Create index "paymentdrift_seen_at" to table: "payment_drifts"
CREATE INDEX `paymentdrift_seen_at` ON `payment_drifts` (`seen_at`);
-- Create "payment_reconciliations" table
CREATE TABLE `payment_reconciliations` (
  `id` text NOT NULL,
  `day` datetime NOT NULL,
  `phase` integer NOT NULL DEFAULT (0),
  `position` text NOT NULL DEFAULT (''),
  PRIMARY KEY (`id`)
);
