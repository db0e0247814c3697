-- fence: tell the fencing token of a lock that is held. A lock that was acquired without one gets it now: a holder that was
-- there before cannot get one any more, and so cannot get a greater one.
--
-- KEYS  1 lock
-- ARGV  1 owner
-- Returns the token, '-' if the owner does not hold the lock

--[[clock.lua]]
-- What is most common comes first: nobody else wants the lock.
local plain = redis.call('MGET', KEYS[1])[1]
local lease, owner = string.match(plain or '', '^0 (%d+) (.*)$')
if owner == ARGV[1] then
  redis.call('SET', KEYS[1], stamp .. ' ' .. lease .. ' ' .. owner, 'KEEPTTL')
  return stamp
end
--[[lock.lua]]
local lock = read(KEYS[1])
if lock.owner ~= ARGV[1] then return '-' end
if lock.token == 0 then
  lock.token = now
  redis.call('HSET', lock.key, 't', stamp)
end
return text(lock.token)
