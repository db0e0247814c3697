-- acquire_all: acquire several locks if nobody holds or waits for any of them, else none.
--
-- KEYS  the locks
-- ARGV  1 lease in ms   2 '1' if the locks may be strings, else ''; then one waiter a lock
-- Returns words, times in us of Redis' time: now, 'owned', then for each lock token and until; now, 'taken'.
--         Only now if nothing was known of any: all are owned, with now as the token

--[[clock.lua]]
-- What is most common comes first: nothing is known of any of them.
if ARGV[2] ~= '' and redis.call('EXISTS', unpack(KEYS)) == 0 then
  local begin = stamp .. ' ' .. ARGV[1] .. ' '
  for i, key in ipairs(KEYS) do redis.call('SET', key, begin .. ARGV[i + 2], 'PX', ARGV[1]) end
  return stamp
end
--[[lock.lua]]
local lease, locks = tonumber(ARGV[1]), {}
for i, key in ipairs(KEYS) do
  local lock = read(key)
  local mine = lock.owner == ARGV[i + 2] -- asked before, and the reply was lost
  if not mine and (lock.owner or lock.head < lock.tail) then
    if lock.owner then tell(lock.owner, 'wanted ' .. key) end -- it may be cached there, and held by nobody
    return stamp .. ' taken'
  end
  if given_up(lock, ARGV[i + 2]) then return stamp .. ' taken' end
  locks[i] = lock
end
local reply = {stamp, 'owned'}
for i, lock in ipairs(locks) do
  take(lock, ARGV[i + 2], lease)
  reply[#reply + 1] = text(lock.token)
  reply[#reply + 1] = text(lock.till)
end
return table.concat(reply, ' ')
