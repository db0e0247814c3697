-- done: the database holds these changes; forget them. Safe to repeat: what is gone is not counted again.
--
-- KEYS  1 stream of changes   2 counts of changes in flight, by balance
-- ARGV  1 consumer group, then for each change: stream ID, number of balances, the balances' keys
-- Returns how many changes were still there.
local gone = 0
local i = 2
while i <= #ARGV do
  local id, count = ARGV[i], tonumber(ARGV[i + 1])
  redis.call('XACK', KEYS[1], ARGV[1], id)
  if redis.call('XDEL', KEYS[1], id) == 1 then
    gone = gone + 1
    for j = i + 2, i + 1 + count do
      if redis.call('HINCRBY', KEYS[2], ARGV[j], -1) <= 0 then redis.call('HDEL', KEYS[2], ARGV[j]) end
    end
  end
  i = i + 2 + count
end
return gone
