-- look: one balance, and the changes of it that are in the stream, at one moment. The count of the latter is brought in line
-- with the stream on the way: were it wrong, because somebody trimmed the stream, a lost balance would never be created again.
--
-- KEYS  1 stream of changes   2 counts of changes in flight, by balance   3 balance
-- ARGV  1 the balance as it stands in a change's JSON   2 the most entries to look through
-- Returns one of
--   {'long'}                                                        there are more entries than that
--   {'seen', amount, floor, ceiling, seq, stream ID, payload, ...}  amount to seq are '' where Redis lacks the balance
if redis.call('XLEN', KEYS[1]) > tonumber(ARGV[2]) then return {'long'} end
local b = redis.call('HMGET', KEYS[3], 'amount', 'floor', 'ceiling', 'seq')
local reply = {'seen', b[1] or '', b[2] or '', b[3] or '', b[4] or ''}
local count = 0
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == 'payload' and string.find(fields[i + 1], ARGV[1], 1, true) then
      count = count + 1
      reply[#reply + 1] = entry[1]
      reply[#reply + 1] = fields[i + 1]
    end
  end
end
if tonumber(redis.call('HGET', KEYS[2], KEYS[3]) or '0') ~= count then
  if count == 0 then redis.call('HDEL', KEYS[2], KEYS[3]) else redis.call('HSET', KEYS[2], KEYS[3], count) end
end
return reply
