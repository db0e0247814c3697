-- enqueue: put a change at the end of the line, unless it was here before, or what it wants is known to be sold out.
--
-- KEYS  1 the line (a stream)   2 memo of this change   3 mark of an open epoch
--       4... sold-out marks of the balances it takes from
-- ARGV  1 change ID   2 fingerprint   3 the change as JSON   4 instance   5 bound of the line   6 memo's life in ms
--       7 ms from now until which the place is kept, 0 for as long as it takes   8 the record's payload
--       9 stream ID of a memo that is stale, or ''
-- Returns one of
--   {'queued', stream ID, length of the line}
--   {'replayed', state, answer, stream ID}   it was here before: 'queued', 'serving', 'done' or 'failed'
--   {'reused', stream ID}                    the ID was here before with another fingerprint; what was refused then, or left
--                                            the line, was never applied, and leaves the ID to whoever comes next
--   {'full'}                                 the line is as long as it may be
--   {'soldout', index, ...}                  marks that are set; indexes from 1
-- or the error CLOSED if the epoch is not open
--
-- A memo is stale if the caller has found that the database knows nothing of it, and its entry is not in the line: the
-- database was restored. It counts as forgotten.
if redis.call('EXISTS', KEYS[3]) == 0 then return redis.error_reply('CLOSED the epoch is not open') end
local memo = redis.call('HMGET', KEYS[2], 'fingerprint', 'state', 'answer', 'id')
if ARGV[9] ~= '' and memo[4] == ARGV[9] and #redis.call('XRANGE', KEYS[1], ARGV[9], ARGV[9]) == 0 then memo = {} end
if memo[1] and memo[2] ~= 'left' then
  if memo[1] == ARGV[2] then return {'replayed', memo[2], memo[3] or '', memo[4]} end
  if memo[2] ~= 'failed' then return {'reused', memo[4]} end
end
local soldout = {'soldout'}
for i = 4, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then soldout[#soldout + 1] = tostring(i - 3) end
end
if #soldout > 1 then return soldout end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[5]) then return {'full'} end
local deadline = '0' -- in ms of Unix time, by the clock of Redis
if ARGV[7] ~= '0' then
  local clock = redis.call('TIME')
  deadline = string.format('%.0f', tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000) + tonumber(ARGV[7]))
end
local payload = '{"change":' .. ARGV[3] .. ',"instance":"' .. ARGV[4] .. '"}'
local id = redis.call('XADD', KEYS[1], '*', 'payload', payload)
redis.call('HDEL', KEYS[2], 'answer') -- of one that was refused
redis.call('HSET', KEYS[2], 'fingerprint', ARGV[2], 'state', 'queued', 'id', id, 'until', deadline, 'payload', ARGV[8])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
return {'queued', id, redis.call('XLEN', KEYS[1])}
