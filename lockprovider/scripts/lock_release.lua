-- release: free locks, or give up places in line, and pass what is free to the next in line. A release may be repeated: it never
-- touches what is somebody else's by now. In the same step the caller may stand in line again, behind those who wait: for
-- others of its process.
--
-- KEYS  the locks
-- ARGV  1 lease in ms   2 lease in ms of a grant to somebody else   3 heartbeat in ms, then for each lock: owner, the last
--       token it has used, the waiter to enqueue or '', '1' where a request of the owner's may still come or ''
-- Returns {now, then for each lock: 'released' or 'lost'; token, until and number waiting where the enqueued waiter
--          has become the owner, else '' three times}

-- What is most common comes first: all locks are the caller's, nobody waits for any, and nobody has been given up.
local clock = redis.call('TIME')
local stamp = clock[1] .. string.format('%06d', clock[2])
local simple, answer = true, {stamp}
for i, key in ipairs(KEYS) do
  local v = redis.call('HMGET', key, 'o', 'e', 'g')
  -- A token that the clock has not passed must be remembered. Both are microseconds, numbers of one length.
  if v[1] ~= ARGV[4 * i] or v[2] or v[3] or ARGV[4 * i + 1] >= stamp or ARGV[4 * i + 2] ~= '' or ARGV[4 * i + 3] ~= '' then
    simple = false
    break
  end
  answer[4 * i - 2], answer[4 * i - 1], answer[4 * i], answer[4 * i + 1] = 'released', '', '', ''
end
if simple then
  redis.call('DEL', unpack(KEYS))
  return answer
end
--[[lock.lua]]
local lease, grant, heartbeat = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local reply = {text(now)}
for i, key in ipairs(KEYS) do
  local owner, used, again, late = ARGV[4 * i], tonumber(ARGV[4 * i + 1]), ARGV[4 * i + 2], ARGV[4 * i + 3]
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
    reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = text(lock.token), text(lock.till), text(waiting(lock))
  else
    reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = '', '', ''
  end
end
return reply
