-- acquire: take the lock, or stand in line for it. Asking again changes nothing but deadlines: it is also how a waiter shows
-- that it is alive, and how it learns of a grant whose message was lost.
--
-- KEYS  1 lock
-- ARGV  1 waiter   2 lease in ms   3 lease in ms of a grant to somebody else   4 heartbeat in ms: how long a place in line is
--       kept without being asked for again; 0 not to stand in line
-- Returns {now, 'owned', token, until, number waiting} or {now, 'queued'} or {now, 'taken'}; times in us of Redis' time

-- What is most common comes first: nobody holds the lock, nobody waits for it, and nothing is known of it.
if redis.call('EXISTS', KEYS[1]) == 0 then
  local clock = redis.call('TIME')
  local now = clock[1] .. string.format('%06d', clock[2])
  local till = string.format('%.0f', tonumber(now) + ARGV[2] * 1000)
  redis.call('HSET', KEYS[1], 'o', ARGV[1], 'u', till, 't', now)
  redis.call('PEXPIRE', KEYS[1], ARGV[2] + 5000)
  return {now, 'owned', now, till, '0'}
end
--[[lock.lua]]
local lock = read(KEYS[1])
local me, lease, grant, heartbeat = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if given_up(lock, me) then return {text(now), 'taken'} end
if lock.owner == me then
  -- It was handed over meanwhile, or the answer was lost. Whoever asked may have been stopped since: it renews, or loses it soon.
  lock.till = math.max(lock.till, now + math.min(lease, grant) * 1000)
  redis.call('HSET', lock.key, 'u', text(lock.till))
  expires(lock, (lock.till - now) / 1000)
elseif not lock.owner and lock.head >= lock.tail then
  take(lock, me, lease)
else
  if heartbeat > 0 then
    local alone = lock.head >= lock.tail
    local new = enqueue(lock, me, heartbeat)
    -- Whoever asks again may have been forgotten: the holder's process may not have heard the first message.
    if lock.owner and (alone or not new) then tell(lock.owner, 'wanted ' .. lock.key) end
  end
  if not lock.owner then pass(lock, me, lease, grant) end
end
if lock.owner == me then return {text(now), 'owned', text(lock.token), text(lock.till), text(waiting(lock))} end
return {text(now), heartbeat > 0 and 'queued' or 'taken'}
