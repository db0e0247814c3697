-- What the scripts share. A lock is one key, so that it expires as a whole, moves to another node of a cluster as a whole,
-- and one script may touch it there.
--
-- If one waiter holds the lock and no other wants it, the key is a string, "token lease owner". It expires with its lease,
-- in ms. The token is 0 until the owner asks for one. Otherwise, and always in a cluster, the key is a hash. (A string that
-- becomes a hash is deleted first. A node that its slot is leaving would refuse to write it again.) The fields of the hash:
--
--   o            the owner: a waiter ID "instance|number", '' for none
--   t            the owner's fencing token, 0 if it has not asked for one; the last token if there is no owner
--   s            "since owner": when the owner acquired the lock, if it was a string then
--   u            when the owner's lease ends, in us of Redis' time
--   h, e         the first number of the wait queue, and the next free one
--   q<n>         the waiter with number n in the wait queue
--   w<waiter>    "n deadline" of a waiter in the wait queue
--   g<instance>  the highest waiter number of that instance whose caller gave up during an acquire. Acquires up to this
--                number are refused
--   g            set if there is any g<instance>
--
-- A lock that nobody holds or waits for leaves nothing behind. A waiter whose deadline has passed has not asked for too
-- long and is skipped. All times are Redis' own (clock.lua).
local now = tonumber(stamp)

local REMEMBER = 5000 -- ms for which the hash outlives its contents: a client's clock may be behind
local RESERVED = 64   -- tokens of one grant: so many holders in the owner's process may have one

local function text(n) return string.format('%.0f', n) end

-- spread turns a lock that is a string into a hash.
local function spread(key, plain)
  local token, lease, owner = string.match(plain, '^(%d+) (%d+) (.*)$')
  if not token then error('not a lock: ' .. key) end -- another program's key: it is left alone
  local left = redis.call('PTTL', key)
  local till = now + left * 1000
  if token ~= '0' then till = math.min(till, token + lease * 1000) end -- in us, if the token is from the beginning
  redis.call('DEL', key)
  redis.call('HSET', key, 'o', owner, 'u', text(till), 't', token, 's', text(till - lease * 1000) .. ' ' .. owner)
  redis.call('PEXPIRE', key, text(left + REMEMBER))
end

local function read(key)
  local plain = redis.call('MGET', key)[1] -- a hash has no value; GET would fail
  if plain then spread(key, plain) end
  local v = redis.call('HMGET', key, 'o', 'u', 't', 'h', 'e', 'g')
  local lock = {
    key = key, token = tonumber(v[3] or '0'), head = tonumber(v[4] or '1'), tail = tonumber(v[5] or '1'), gave_up = v[6],
  }
  if v[1] and v[1] ~= '' and tonumber(v[2]) > now then lock.owner, lock.till = v[1], tonumber(v[2]) end
  return lock
end

-- expires keeps the hash for as long as its owner or a waiter may still come back.
local function expires(lock, ms) redis.call('PEXPIRE', lock.key, text(ms + REMEMBER)) end

-- take makes a waiter the owner. The token grows by what a grant reserves, and keeps up with the clock. So it also grows if
-- Redis has forgotten the last one, as long as a key is not granted more than once in 64 us.
local function take(lock, waiter, ms)
  lock.token, lock.owner, lock.till = math.max(lock.token + RESERVED, now), waiter, now + ms * 1000
  redis.call('HSET', lock.key, 'o', waiter, 'u', text(lock.till), 't', text(lock.token))
  expires(lock, ms)
end

local function waiting(lock) return math.max(lock.tail - lock.head, 0) end

-- enqueue adds a waiter to the end of the wait queue and returns true, or renews the deadline of one that is there.
local function enqueue(lock, waiter, heartbeat)
  local place = redis.call('HGET', lock.key, 'w' .. waiter)
  local deadline = text(now + heartbeat * 1000)
  if place then
    redis.call('HSET', lock.key, 'w' .. waiter, string.match(place, '^%d+') .. ' ' .. deadline)
  else
    local n = lock.tail
    lock.tail = n + 1
    redis.call('HSET', lock.key, 'q' .. n, waiter, 'w' .. waiter, n .. ' ' .. deadline, 'h', lock.head, 'e', lock.tail)
  end
  local held = lock.owner and (lock.till - now) / 1000 or 0
  expires(lock, math.max(held, heartbeat))
  return not place
end

local function dequeue(lock, waiter)
  local place = redis.call('HGET', lock.key, 'w' .. waiter)
  if place then redis.call('HDEL', lock.key, 'w' .. waiter, 'q' .. string.match(place, '^%d+')) end
end

local function instance(waiter) return string.match(waiter, '^[^|]*') end
local function number(waiter) return tonumber(string.match(waiter, '%d+$')) end

local function tell(waiter, message) return redis.call('PUBLISH', 'holdfast:lock:' .. instance(waiter), message) end

-- give_up has Redis refuse acquires of a waiter, and of earlier ones of its instance, that are still to come: Redis stood
-- still, and nobody waits for their replies any more. What they acquired would be nobody's until it expires.
local function give_up(lock, waiter)
  local last = redis.call('HGET', lock.key, 'g' .. instance(waiter))
  redis.call('HSET', lock.key, 'g', '1', 'g' .. instance(waiter), text(math.max(tonumber(last or '0'), number(waiter))))
  lock.gave_up = '1'
  local held = lock.owner and (lock.till - now) / 1000 or 0
  expires(lock, held)
end

local function given_up(lock, waiter)
  local last = lock.gave_up and redis.call('HGET', lock.key, 'g' .. instance(waiter))
  return last and number(waiter) <= tonumber(last)
end

-- idle ends a lock that nobody holds or waits for. Its last token is kept only if Redis' clock has not passed it: otherwise
-- the next token is greater anyway. Acquires to refuse are remembered, since they may still come.
local function idle(lock)
  if lock.gave_up then
    redis.call('HDEL', lock.key, 'o', 'u', 't', 'h', 'e')
  else
    redis.call('DEL', lock.key)
  end
  if lock.token >= now then redis.call('HSET', lock.key, 'o', '', 't', text(lock.token)) end
  if lock.gave_up or lock.token >= now then expires(lock, math.max(0, (lock.token - now) / 1000)) end
end

-- pass hands a lock without an owner off to the first waiter that is alive. The caller gets a full lease. Another waiter
-- gets a short one, which it renews, and a message. A process that does not receive the message is dead.
local function pass(lock, caller, lease, grant)
  while lock.head < lock.tail do
    local n = lock.head
    lock.head = n + 1
    local waiter = redis.call('HGET', lock.key, 'q' .. n)
    if waiter then
      local deadline = tonumber(string.match(redis.call('HGET', lock.key, 'w' .. waiter), ' (%d+)$'))
      redis.call('HDEL', lock.key, 'q' .. n, 'w' .. waiter)
      if waiter == caller then
        take(lock, waiter, lease)
        break
      elseif deadline > now then
        take(lock, waiter, math.min(lease, grant))
        local message = 'granted ' .. waiter .. ' ' .. text(lock.token) .. ' ' .. text(lock.till) .. ' ' ..
          text(waiting(lock)) .. ' ' .. lock.key
        if tell(waiter, message) > 0 then break end
        lock.owner = nil
      end
    end
  end
  if not lock.owner then
    idle(lock)
  elseif lock.head < lock.tail then
    redis.call('HSET', lock.key, 'h', lock.head)
  elseif lock.head > 1 then
    redis.call('HDEL', lock.key, 'h', 'e')
  end
end

