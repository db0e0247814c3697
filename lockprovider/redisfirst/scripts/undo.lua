-- undo: the database refused this change; take its moves back and remember why. It happens at most once: the stream entry
-- is removed in the same step, and an undo without entry does nothing.
--
-- KEYS  1 stream of changes   2 counts of changes in flight, by balance   3 memo of the change   4... balances
-- ARGV  1 consumer group   2 stream ID   3 the reason as JSON, '' to leave the memo as it is   4 the record's payload, for
--       those who ask what became of it   5... one delta a balance
-- Returns 1 where the moves were taken back, 0 where that had been done before.
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
if redis.call('XDEL', KEYS[1], ARGV[2]) == 0 then return 0 end
for i = 4, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then -- lost meanwhile: it will be created anew from the database
    redis.call('HINCRBY', KEYS[i], 'amount', string.format('%.0f', -tonumber(ARGV[i + 1])))
    redis.call('HINCRBY', KEYS[i], 'seq', -1)
  end
  if redis.call('HINCRBY', KEYS[2], KEYS[i], -1) <= 0 then redis.call('HDEL', KEYS[2], KEYS[i]) end
end
local memo = redis.call('HMGET', KEYS[3], 'fingerprint', 'id')
if ARGV[3] ~= '' and memo[1] and (not memo[2] or memo[2] == ARGV[2]) then -- else the memo is of a later entry
  redis.call('HSET', KEYS[3], 'state', 'failed', 'answer', ARGV[3], 'payload', ARGV[4])
end
return 1
