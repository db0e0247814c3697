-- Create "webhook_events" table
CREATE TABLE `webhook_events` (
  `id` varchar(320) NOT NULL,
  `received_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  INDEX `webhookevent_received_at` (`received_at`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
