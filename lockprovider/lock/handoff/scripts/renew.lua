-- renew: prolong leases that have not been lost.
--
-- KEYS  the locks
-- ARGV  for each lock: owner, lease in ms
-- Returns words: now, then for each lock until, or '-' if it is lost, and the number waiting

--[[clock.lua]]
--[[lock.lua]]
local reply = {stamp}
for i, key in ipairs(KEYS) do
  local owner, lease = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
  local lock = read(key)
  if lock.owner == owner then
    lock.till = now + lease * 1000
    redis.call('HSET', key, 'u', text(lock.till))
    expires(lock, lease)
    reply[#reply + 1] = text(lock.till)
  else
    reply[#reply + 1] = '-'
  end
  reply[#reply + 1] = text(waiting(lock))
end
return table.concat(reply, ' ')
