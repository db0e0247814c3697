-- What the scripts of the Pub/Sub lock share. A lock is one key, so that it expires as a whole, moves to another node of a cluster
-- as a whole, and one script may touch it there. Where somebody holds it and nobody else wants it, it is a string, "token lease
-- owner", which expires with its lease, in ms. Where there is more to say, and always in a cluster, it is a hash. (A string that
-- becomes a hash is deleted first, and a node that its slot is leaving would refuse to write it again.)
--
--   o  who holds it: a waiter "instance|number", '' for nobody      t  its fencing token, the last one when nobody holds it
--   u  until when, in us of Redis' time
--   h  the first number of the line, e  the next free one      q<n>  the waiter with number n      w<waiter>  "n deadline"
--   g<instance>  the number of the last waiter that an instance has given up while a request of its was still under way
--   g  there is one of these
--
-- A lock that nobody holds or waits for leaves nothing behind. A waiter whose deadline has passed has not asked for too long:
-- it is skipped. All time is Redis' own (clock.lua).
local now = tonumber(stamp)

local REMEMBER = 5000 -- ms for which the hash outlives all that stands in it: a client's clock may be behind
local RESERVED = 64   -- tokens of one grant: its holder may pass the lock on in its own process so many times

local function text(n) return string.format('%.0f', n) end

-- spread makes a hash of a lock that is a string.
local function spread(key, plain)
  local token, lease, owner = string.match(plain, '^(%d+) (%d+) (.*)$')
  if not token then error('not a lock: ' .. key) end -- somebody else's: it is left alone
  redis.call('DEL', key)
  redis.call('HSET', key, 'o', owner, 'u', text(token + lease * 1000), 't', token)
  redis.call('PEXPIRE', key, text(lease + REMEMBER))
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

-- expires keeps the hash for as long as its holder or those in line may still come back.
local function expires(lock, ms) redis.call('PEXPIRE', lock.key, text(ms + REMEMBER)) end

-- take makes a waiter the owner. The token grows by what a grant reserves, and keeps up with the clock: so it also grows when
-- Redis has forgotten the last one, as long as a key is not granted more than once in 64 us.
local function take(lock, waiter, ms)
  lock.token, lock.owner, lock.till = math.max(lock.token + RESERVED, now), waiter, now + ms * 1000
  redis.call('HSET', lock.key, 'o', waiter, 'u', text(lock.till), 't', text(lock.token))
  expires(lock, ms)
end

local function waiting(lock) return math.max(lock.tail - lock.head, 0) end

-- enqueue puts a waiter at the end of the line, or renews its deadline where it stands. True where it is new.
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

-- give_up notes that requests of a waiter, and of earlier ones of its instance, come late: Redis stood still, and nobody
-- waits for their answers any more. What they took would be nobody's until it expires.
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

-- idle is the end of a lock that nobody holds or waits for. Its last token is kept only where Redis' clock has not passed it:
-- else the next one is greater anyway. Requests that were given up may still come.
local function idle(lock)
  if lock.gave_up then
    redis.call('HDEL', lock.key, 'o', 'u', 't', 'h', 'e')
  else
    redis.call('DEL', lock.key)
  end
  if lock.token >= now then redis.call('HSET', lock.key, 'o', '', 't', text(lock.token)) end
  if lock.gave_up or lock.token >= now then expires(lock, 0) end
end

-- pass gives a lock that nobody holds to the first in line who is alive: to the caller for a full lease, to others for a
-- short one, which they renew, and with a message. Whose process does not hear the message is dead.
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

