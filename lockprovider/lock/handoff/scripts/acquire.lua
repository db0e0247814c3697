-- acquire: acquire the lock, or enter its wait queue. Repeating it changes nothing but deadlines. A waiter repeats it to show
-- that it is alive, and to learn of a grant whose message was lost.
--
-- KEYS  1 lock
-- ARGV  1 waiter   2 lease in ms   3 lease in ms of a grant to another waiter   4 heartbeat in ms: how long the wait queue
--       keeps a waiter that does not ask again; 0 not to enter the queue   5 '1' if the lock may be a string, else ''
-- Returns words, times in us of Redis' time: now, 'owned', token, until, number waiting; now, 'queued'; now, 'taken'.
--         Only now if nothing was known of the lock: it is owned, the token is now, and nobody waits

--[[clock.lua]]
-- What is most common comes first: nobody holds the lock, nobody waits for it, and nothing is known of it.
if ARGV[5] ~= '' and
  redis.call('SET', KEYS[1], stamp .. ' ' .. ARGV[2] .. ' ' .. ARGV[1], 'NX', 'PX', ARGV[2]) then
  return stamp
end
--[[lock.lua]]
local lock = read(KEYS[1])
local me, lease, grant, heartbeat = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if given_up(lock, me) then return stamp .. ' taken' end
if lock.owner == me then
  -- It was handed off meanwhile, or the reply was lost. The process may have been stopped since: it renews, or loses the lock soon.
  lock.till = math.max(lock.till, now + math.min(lease, grant) * 1000)
  redis.call('HSET', lock.key, 'u', text(lock.till))
  expires(lock, (lock.till - now) / 1000)
elseif not lock.owner and lock.head >= lock.tail then
  take(lock, me, lease)
else
  if heartbeat > 0 then
    local alone = lock.head >= lock.tail
    local new = enqueue(lock, me, heartbeat)
    -- If a waiter asks again, the owner's process may have missed the first message.
    if lock.owner and (alone or not new) then tell(lock.owner, 'wanted ' .. lock.key) end
  end
  if not lock.owner then pass(lock, me, lease, grant) end
end
if lock.owner == me then
  return stamp .. ' owned ' .. text(lock.token) .. ' ' .. text(lock.till) .. ' ' .. text(waiting(lock))
end
return stamp .. (heartbeat > 0 and ' queued' or ' taken')
