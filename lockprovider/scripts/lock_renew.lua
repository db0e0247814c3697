-- renew: prolong leases, if they are still their owners'.
--
-- KEYS  the locks
-- ARGV  for each lock: owner, lease in ms
-- Returns {now, then for each lock: until, '' where it is lost; number waiting}
--[[lock.lua]]
local reply = {text(now)}
for i, key in ipairs(KEYS) do
  local owner, lease = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
  local lock = read(key)
  if lock.owner == owner then
    lock.till = now + lease * 1000
    redis.call('HSET', key, 'u', text(lock.till))
    expires(lock, lease)
    reply[#reply + 1] = text(lock.till)
  else
    reply[#reply + 1] = ''
  end
  reply[#reply + 1] = text(waiting(lock))
end
return reply
