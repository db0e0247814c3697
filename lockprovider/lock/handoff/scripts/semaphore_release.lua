-- semaphore_release: release units, or take waiters out of the wait queue, and give the units that are free to the next
-- waiters. A release may be repeated: it never touches what another waiter holds.
--
-- KEYS  the semaphores
-- ARGV  for each semaphore: waiter, '1' if an acquire of it may still come or ''
-- Returns words: now, then for each semaphore 'released' or 'lost'

--[[clock.lua]]
--[[semaphore.lua]]
local reply = {stamp}
for i, key in ipairs(KEYS) do
  local waiter, late = ARGV[2 * i - 1], ARGV[2 * i]
  local sem = read(key)
  local mine = redis.call('HMGET', key, 'o' .. waiter, 'w' .. waiter)
  reply[i + 1] = mine[1] and 'released' or 'lost'
  if mine[1] then
    redis.call('HDEL', key, 'o' .. waiter)
    sem.used = sem.used - tonumber(string.match(mine[1], '^%d+'))
  elseif mine[2] then
    redis.call('HDEL', key, 'w' .. waiter, 'q' .. string.match(mine[2], '^%d+'))
  end
  if late ~= '' then give_up(sem, waiter) end
  pass(sem)
  save(sem)
end
return table.concat(reply, ' ')
