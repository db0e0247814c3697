-- Create "adjustments" table
CREATE TABLE `adjustments` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `change_id` uuid NOT NULL,
  `family` text NOT NULL,
  `subject` text NOT NULL,
  `delta` integer NOT NULL,
  `reason` text NOT NULL DEFAULT (''),
  `administrator` text NOT NULL,
  `created_at` datetime NOT NULL
);
-- Create index "adjustments_change_id_key" to table: "adjustments"
CREATE UNIQUE INDEX `adjustments_change_id_key` ON `adjustments` (`change_id`);
