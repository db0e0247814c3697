-- semaphore_renew: prolong leases that have not been lost.
--
-- KEYS  the semaphores
-- ARGV  for each semaphore: waiter, lease in ms
-- Returns words, times in us of Redis' time: now, then for each semaphore until, or '-' if the units are lost

--[[clock.lua]]
--[[semaphore.lua]]
local reply = {stamp}
for i, key in ipairs(KEYS) do
  local waiter, lease = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
  local sem = read(key)
  local owned = redis.call('HGET', key, 'o' .. waiter)
  reply[i + 1] = '-'
  if owned then reply[i + 1] = text(prolong(sem, waiter, owned, now + lease * 1000)) end
  pass(sem) -- units of owners that have died
  save(sem)
end
return table.concat(reply, ' ')
