-- dismiss: remove consumers that have been idle and have nothing pending. One script, because a consumer that reads in between
-- would lose what it has read: removing it drops its pending entries.
--
-- KEYS  1 stream of changes
-- ARGV  1 consumer group   2 idle for so many ms
-- Returns how many were removed.
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then return 0 end -- no stream or no group: nothing has been admitted yet
local removed = 0
for _, consumer in ipairs(consumers) do
  local c = {}
  for i = 1, #consumer, 2 do c[consumer[i]] = consumer[i + 1] end
  if c.pending == 0 and c.idle >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], c.name)
    removed = removed + 1
  end
end
return removed
