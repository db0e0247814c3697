-- acquire_all: take several locks at once, if nobody holds or waits for any of them; else take none.
--
-- KEYS  the locks
-- ARGV  1 lease in ms, then one waiter a lock
-- Returns {now, 'owned', token, until, token, until, ...} or {now, 'taken', index of a lock that is not free, from 1}

-- What is most common comes first: nothing is known of any of them.
if redis.call('EXISTS', unpack(KEYS)) == 0 then
  local clock = redis.call('TIME')
  local now = clock[1] .. string.format('%06d', clock[2])
  local till = string.format('%.0f', tonumber(now) + ARGV[1] * 1000)
  local reply = {now, 'owned'}
  for i, key in ipairs(KEYS) do
    redis.call('HSET', key, 'o', ARGV[i + 1], 'u', till, 't', now)
    redis.call('PEXPIRE', key, ARGV[1] + 5000)
    reply[2 * i + 1], reply[2 * i + 2] = now, till
  end
  return reply
end
--[[lock.lua]]
local lease, locks = tonumber(ARGV[1]), {}
for i, key in ipairs(KEYS) do
  local lock = read(key)
  local mine = lock.owner == ARGV[i + 1] -- asked before, and the reply was lost
  if not mine and (lock.owner or lock.head < lock.tail) then
    if lock.owner then tell(lock.owner, 'wanted ' .. key) end -- it may be kept, and held by nobody
    return {text(now), 'taken', text(i)}
  end
  if given_up(lock, ARGV[i + 1]) then return {text(now), 'taken', text(i)} end
  locks[i] = lock
end
local reply = {text(now), 'owned'}
for i, lock in ipairs(locks) do
  take(lock, ARGV[i + 1], lease)
  reply[#reply + 1] = text(lock.token)
  reply[#reply + 1] = text(lock.till)
end
return reply
