-- Create "database_marks" table
CREATE TABLE `database_marks` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `name` text NOT NULL,
  `moments` json NOT NULL,
  `updated_at` datetime NOT NULL
);
