-- prime: create balances that Redis does not hold from what the database says, unless changes of them are in flight:
-- those the database does not know yet.
--
-- KEYS  1 counts of changes in flight, by balance   2 mark of an open epoch   3... balances
-- ARGV  for each balance: amount, floor, ceiling, seq
-- Returns {created, existed, in flight} as counts, or the error CLOSED if the epoch is not open.
if redis.call('EXISTS', KEYS[2]) == 0 then return redis.error_reply('CLOSED the epoch is not open') end
local created, existed, inflight = 0, 0, 0
for i = 3, #KEYS do
  local a = (i - 3) * 4
  if redis.call('EXISTS', KEYS[i]) == 1 then
    existed = existed + 1
  elseif tonumber(redis.call('HGET', KEYS[1], KEYS[i]) or '0') > 0 then
    inflight = inflight + 1
  else
    redis.call('HSET', KEYS[i], 'amount', ARGV[a + 1], 'floor', ARGV[a + 2], 'ceiling', ARGV[a + 3], 'seq', ARGV[a + 4])
    created = created + 1
  end
end
return {created, existed, inflight}
