-- What the scripts of semaphores share. A semaphore has a limit of units. Owners hold some of the units, and others wait in a
-- queue for theirs. A read-write lock is a semaphore as well: a reader takes one unit, and a writer takes all.
--
-- A semaphore is one key, for the reasons that lock.lua has, and a hash. Its fields:
--
--   n            the limit
--   u            how many units the owners hold
--   t            the last fencing token
--   h, e         the first number of the wait queue, and the next free one
--   x            a time: no lease of an owner, and no g<waiter>, ends before
--   o<waiter>    "units until token" of an owner
--   q<n>         the waiter with number n in the wait queue
--   w<waiter>    "n units grant deadline" of a waiter in the wait queue. grant is its lease in ms, until it renews
--   g<waiter>    the caller of that waiter gave up during an acquire. Until this time, its acquires are refused
--   g            set if there is any g<waiter>
--
-- A semaphore that nobody holds or waits for leaves nothing behind. A waiter whose deadline has passed has not asked for too
-- long and is skipped. All times are Redis' own, in us (clock.lua).
local now = tonumber(stamp)

local REMEMBER = 5000 -- ms for which the hash outlives its contents, and for which late acquires are refused

local function text(n) return string.format('%.0f', n) end

local function instance(waiter) return string.match(waiter, '^[^|]*') end

-- ends notes that something ends at a time. The earliest such time decides when purge has to look at all fields.
local function ends(sem, at)
  if not sem.next_end or at < sem.next_end then sem.next_end = at end
end

-- lasts notes that an owner or a waiter may still come back after so many ms.
local function lasts(sem, ms)
  if not sem.ms or ms > sem.ms then sem.ms = ms end
end

-- purge removes what has ended, and counts the units anew.
local function purge(sem)
  local fields = redis.call('HGETALL', sem.key)
  sem.used, sem.next_end, sem.gave_up = 0, nil, false
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    local kind = #name > 1 and string.sub(name, 1, 1)
    if kind == 'o' or kind == 'g' then
      local units, till
      if kind == 'o' then
        units, till = string.match(value, '^(%d+) (%d+)')
      else
        till = value
      end
      till = tonumber(till)
      if till <= now then
        redis.call('HDEL', sem.key, name)
      else
        ends(sem, till)
        if kind == 'o' then sem.used = sem.used + tonumber(units) else sem.gave_up = '1' end
      end
    end
  end
  if not sem.gave_up then redis.call('HDEL', sem.key, 'g') end
end

local function read(key)
  local v = redis.call('HMGET', key, 'n', 'u', 't', 'h', 'e', 'x', 'g')
  local sem = {
    key = key, limit = tonumber(v[1] or '0'), used = tonumber(v[2] or '0'), token = tonumber(v[3] or '0'),
    head = tonumber(v[4] or '1'), tail = tonumber(v[5] or '1'), gave_up = v[7],
  }
  if v[6] then sem.next_end = tonumber(v[6]) end
  if sem.next_end and sem.next_end <= now then purge(sem) end
  return sem
end

-- own writes what an owner holds.
local function own(sem, waiter, units, till, token)
  local value = text(units) .. ' ' .. text(till) .. ' ' .. text(token)
  redis.call('HSET', sem.key, 'o' .. waiter, value)
  ends(sem, till)
  lasts(sem, (till - now) / 1000)
  if waiter == sem.caller then sem.granted = text(token) .. ' ' .. text(till) end
end

-- take gives units to a waiter. The token grows with each grant, and keeps up with the clock. So it also grows if Redis has
-- forgotten the last one.
local function take(sem, waiter, units, ms)
  sem.token, sem.used = math.max(sem.token + 1, now), sem.used + units
  own(sem, waiter, units, now + ms * 1000, sem.token)
end

-- prolong lengthens the lease of an owner, whose field is given.
local function prolong(sem, waiter, owned, till)
  local units, before, token = string.match(owned, '^(%d+) (%d+) (%d+)$')
  till = math.max(till, tonumber(before))
  own(sem, waiter, tonumber(units), till, tonumber(token))
  return till
end

local function enqueue(sem, waiter, units, grant, heartbeat)
  local n = text(sem.tail)
  sem.tail = sem.tail + 1
  local entry = n .. ' ' .. text(units) .. ' ' .. text(grant) .. ' ' .. text(now + heartbeat * 1000)
  redis.call('HSET', sem.key, 'q' .. n, waiter, 'w' .. waiter, entry)
  lasts(sem, heartbeat)
end

-- stay renews the deadline of a waiter, whose field is given.
local function stay(sem, waiter, entry, heartbeat)
  entry = string.match(entry, '^%d+ %d+ %d+ ') .. text(now + heartbeat * 1000)
  redis.call('HSET', sem.key, 'w' .. waiter, entry)
  lasts(sem, heartbeat)
end

-- pass gives units to the waiters at the front of the queue for whom enough are free. The first waiter that is alive and does
-- not fit keeps all others waiting, or it would never be served. The caller of the script gets a full lease, in ms.
-- Another waiter gets a short one, which it renews, and a message. A process that does not receive the message is dead.
local function pass(sem, lease)
  while sem.head < sem.tail do
    local place = 'q' .. text(sem.head)
    local waiter = redis.call('HGET', sem.key, place)
    if waiter then
      local entry = redis.call('HGET', sem.key, 'w' .. waiter)
      local units, grant, deadline = string.match(entry, '^%d+ (%d+) (%d+) (%d+)$')
      units, grant = tonumber(units), tonumber(grant)
      local alive = waiter == sem.caller or tonumber(deadline) > now
      if alive and sem.used + units > sem.limit then return end
      redis.call('HDEL', sem.key, place, 'w' .. waiter)
      if waiter == sem.caller then
        take(sem, waiter, units, lease)
      elseif alive then
        take(sem, waiter, units, grant)
        local message = 'units ' .. text(sem.token) .. ' ' .. text(now + grant * 1000) .. ' ' .. waiter
        if redis.call('PUBLISH', 'holdfast:lock:' .. instance(waiter), message) == 0 then
          redis.call('HDEL', sem.key, 'o' .. waiter)
          sem.used = sem.used - units
        end
      end
    end
    sem.head = sem.head + 1
  end
end

-- give_up has Redis refuse acquires of a waiter that are still to come: Redis stood still, and nobody waits for their replies
-- any more. What they acquired would be nobody's until it expires.
local function give_up(sem, waiter)
  sem.gave_up = '1'
  redis.call('HSET', sem.key, 'g', '1', 'g' .. waiter, text(now + REMEMBER * 1000))
  ends(sem, now + REMEMBER * 1000)
  lasts(sem, 0)
end

-- save writes the numbers that have changed. If nobody holds or waits, the last token is kept only if Redis' clock has not
-- passed it: otherwise the next token is greater anyway. Acquires to refuse are remembered, since they may still come.
local function save(sem)
  if sem.used > 0 or sem.head < sem.tail then
    redis.call('HSET', sem.key, 'n', text(sem.limit), 'u', text(sem.used), 't', text(sem.token), 'h', text(sem.head),
      'e', text(sem.tail), 'x', text(sem.next_end))
    if sem.ms and redis.call('PTTL', sem.key) < sem.ms + REMEMBER then
      redis.call('PEXPIRE', sem.key, text(sem.ms + REMEMBER))
    end
    return
  end
  if sem.gave_up then
    redis.call('HDEL', sem.key, 'n', 'u', 't', 'h', 'e')
    redis.call('HSET', sem.key, 'x', text(sem.next_end))
  else
    redis.call('DEL', sem.key)
  end
  if sem.token >= now then redis.call('HSET', sem.key, 't', text(sem.token)) end
  if sem.gave_up or sem.token >= now then redis.call('PEXPIRE', sem.key, text(REMEMBER)) end
end
