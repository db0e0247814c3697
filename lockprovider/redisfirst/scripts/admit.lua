-- admit: check and apply all moves of one change, or none; number them; remember the change; append it to the stream.
-- One script, so that a crash between decrement and publication cannot exist.
--
-- KEYS  1 stream of changes   2 counts of changes in flight, by balance   3 memo of this change   4 mark of an open epoch
--       5... balances, sorted
-- ARGV  1 change ID   2 fingerprint   3 the change as JSON   4 instance   5 bound of the backlog   6 memo's life in ms
--       7 stream ID of a memo that is stale, or ''   8... for each balance: delta, the limit of its move or ''
-- Returns one of
--   {'admitted', stream ID, known, amount after, ...}   known is 0 as long as Redis may have lost the memo of this ID
--   {'replayed', state, answer, stream ID} the same change was here before; state is 'admitted' or 'failed'; the ID is ''
--                                          if an earlier version of this script admitted it
--   {'reused', stream ID}                  the ID was here before with another fingerprint; what the database refused then
--                                          was never applied, and leaves the ID to whoever comes next
--   {'backlog'}                            too much waits to be persisted
--   {'missing', index, ...}                balances that Redis does not hold; indexes from 1
--   {'refused', index, amount, floor, ceiling, ...}   every balance that the change does not fit
-- or the error CLOSED if the epoch is not open
--
-- A memo is stale if the caller has found that the database knows nothing of it, and its entry is not in the stream: the
-- database was restored. It counts as forgotten.
local open = redis.call('GET', KEYS[4])
if not open then return redis.error_reply('CLOSED the epoch is not open') end
local memo = redis.call('HMGET', KEYS[3], 'fingerprint', 'state', 'answer', 'id')
if ARGV[7] ~= '' and memo[4] == ARGV[7] and #redis.call('XRANGE', KEYS[1], ARGV[7], ARGV[7]) == 0 then memo = {} end
if memo[1] == ARGV[2] then return {'replayed', memo[2], memo[3], memo[4] or ''} end
if memo[1] and memo[2] ~= 'failed' then return {'reused', memo[4] or ''} end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[5]) then return {'backlog'} end

local missing, refused, after, seqs = {'missing'}, {'refused'}, {}, {}
for i = 5, #KEYS do
  local b = redis.call('HMGET', KEYS[i], 'amount', 'floor', 'ceiling', 'seq')
  if not b[1] then
    missing[#missing + 1] = tostring(i - 4)
  else
    local delta, limit = tonumber(ARGV[2 * i - 2]), tonumber(ARGV[2 * i - 1])
    local amount = tonumber(b[1]) + delta
    if amount < tonumber(b[2]) or amount > tonumber(b[3]) or (limit and amount > limit) then
      for _, v in ipairs({tostring(i - 4), b[1], b[2], b[3]}) do refused[#refused + 1] = v end
    end
    after[#after + 1] = string.format('%.0f', amount)
    seqs[#seqs + 1] = string.format('%.0f', tonumber(b[4]) + 1)
  end
end
if #missing > 1 then return missing end
if #refused > 1 then return refused end

for i = 5, #KEYS do
  redis.call('HSET', KEYS[i], 'amount', after[i - 4], 'seq', seqs[i - 4])
  redis.call('HINCRBY', KEYS[2], KEYS[i], 1)
end
local payload = '{"change":' .. ARGV[3] .. ',"instance":"' .. ARGV[4] .. '","after":[' .. table.concat(after, ',') ..
  '],"seq":[' .. table.concat(seqs, ',') .. ']}'
local id = redis.call('XADD', KEYS[1], '*', '_watermill_message_uuid', ARGV[1], 'payload', payload)
redis.call('HDEL', KEYS[3], 'payload') -- of one that was refused
redis.call('HSET', KEYS[3], 'fingerprint', ARGV[2], 'state', 'admitted', 'answer', table.concat(after, ','), 'id', id)
redis.call('PEXPIRE', KEYS[3], ARGV[6])

local known = '1'
if open ~= '1' and tonumber(redis.call('TIME')[1]) < tonumber(open) then known = '0' end
local reply = {'admitted', id, known}
for _, amount in ipairs(after) do reply[#reply + 1] = amount end
return reply
