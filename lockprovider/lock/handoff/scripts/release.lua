-- release: release locks, or take waiters out of the wait queue, and hand each free lock off to the next waiter. A release may
-- be repeated: it never touches what another waiter owns by now. In the same step the caller may enqueue another waiter,
-- for other callers of its process.
--
-- KEYS  the locks
-- ARGV  1 "lease grant heartbeat" in ms: of a lock that the enqueued waiter gets, of one that another waiter gets, and of an
--       entry in the wait queue; then for each lock: the string "token lease owner" that it is if nobody else wants it, the
--       last token that a holder was given, the waiter to enqueue or '', '1' if an acquire of the owner may still come or ''.
--       One lock alone may leave out the last two
-- Returns words: now, then for each lock 'released' or 'lost', and token, until and number waiting if the enqueued waiter
--         has become the owner, else '-'. '' if all were released and nothing else was to do

--[[clock.lua]]
-- What is most common comes first: all locks are the caller's, and nobody else wants any. A token that the clock has not
-- passed must be remembered; both are microseconds, numbers of one length.
local simple = true
if #ARGV == 3 then
  simple = redis.call('MGET', KEYS[1])[1] == ARGV[2] and ARGV[3] < stamp
else
  for i, value in ipairs(redis.call('MGET', unpack(KEYS))) do
    local at = 4 * i - 2
    if value ~= ARGV[at] or ARGV[at + 1] >= stamp or ARGV[at + 2] ~= '' or ARGV[at + 3] ~= '' then
      simple = false
      break
    end
  end
end
if simple then
  redis.call('DEL', unpack(KEYS))
  return ''
end
--[[lock.lua]]
local lease, grant, heartbeat = string.match(ARGV[1], '^(%d+) (%d+) (%d+)$')
lease, grant, heartbeat = tonumber(lease), tonumber(grant), tonumber(heartbeat)
local reply = {stamp}
for i, key in ipairs(KEYS) do
  local at = 4 * i - 2
  local owner, used, again, late = string.match(ARGV[at], '^%d+ %d+ (.*)$'), tonumber(ARGV[at + 1]), ARGV[at + 2] or '', ARGV[at + 3] or ''
  local lock = read(key)
  local released = lock.owner == owner
  if released then
    lock.owner, lock.token = nil, math.max(lock.token, used)
  else
    dequeue(lock, owner)
  end
  reply[#reply + 1] = released and 'released' or 'lost'
  if again ~= '' and lock.owner ~= again and not given_up(lock, again) then
    local alone = lock.head >= lock.tail
    if enqueue(lock, again, heartbeat) and alone and lock.owner then tell(lock.owner, 'wanted ' .. key) end
  end
  if not lock.owner and (released or lock.head < lock.tail) then pass(lock, again, lease, grant) end
  if late ~= '' then give_up(lock, owner) end
  if again ~= '' and lock.owner == again then
    reply[#reply + 1] = text(lock.token) .. ' ' .. text(lock.till) .. ' ' .. text(waiting(lock))
  else
    reply[#reply + 1] = '-'
  end
end
return table.concat(reply, ' ')
