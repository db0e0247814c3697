-- semaphore_acquire: acquire units, or enter the wait queue. Repeating it changes nothing but deadlines. A waiter repeats it to
-- show that it is alive, and to learn of a grant whose message was lost.
--
-- KEYS  1 semaphore
-- ARGV  1 waiter   2 units   3 limit of the semaphore   4 lease in ms   5 lease in ms if a message tells of the grant
--       6 heartbeat in ms: how long the wait queue keeps a waiter that does not ask again; 0 not to enter the queue
-- Returns words, times in us of Redis' time: now, 'owned', token, until; now, 'queued'; now, 'taken'; now, 'limit', and the
--         limit with which the semaphore is in use, if that is another one

--[[clock.lua]]
--[[semaphore.lua]]
local me, units, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local lease, grant, heartbeat = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local sem = read(KEYS[1])
local mine = redis.call('HMGET', sem.key, 'o' .. me, 'w' .. me, 'g' .. me)
sem.caller = me
local in_use
if mine[1] then
  -- It was granted meanwhile, or the reply was lost. The process may have been stopped since: it renews, or loses the units soon.
  prolong(sem, me, mine[1], now + grant * 1000)
elseif mine[2] then
  stay(sem, me, mine[2], heartbeat)
end
pass(sem, lease) -- units whose lease has ended go to those who waited; waiters that have gone leave the queue
if not (mine[1] or mine[2] or mine[3]) then
  local alone = sem.head >= sem.tail
  if alone and sem.used == 0 then sem.limit = limit end
  if sem.limit ~= limit then
    in_use = sem.limit
  elseif alone and sem.used + units <= limit then
    take(sem, me, units, lease)
  elseif heartbeat > 0 then
    enqueue(sem, me, units, grant, heartbeat)
  end
end
save(sem)
if in_use then return stamp .. ' limit ' .. text(in_use) end
if sem.granted then return stamp .. ' owned ' .. sem.granted end
return stamp .. (heartbeat > 0 and ' queued' or ' taken')
