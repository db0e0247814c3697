-- prime: create balances that Redis does not hold from what the database says, unless changes of them are in flight:
-- those the database does not know yet.
--
-- KEYS  1 counts of changes in flight, by balance   2... balances
-- ARGV  for each balance: amount, floor, ceiling, seq
-- Returns {created, existed, in flight} as counts.
local created, existed, inflight = 0, 0, 0
for i = 2, #KEYS do
  local a = (i - 2) * 4
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
