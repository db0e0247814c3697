-- repair: replace the amount of a balance by the database's, only if its seq and amount are still those that were compared:
-- a change admitted meanwhile makes the comparison worthless, never the change.
--
-- KEYS  1 balance   2 mark of an open epoch
-- ARGV  1 seq seen   2 amount seen   3 right amount   4 floor   5 ceiling   6 right seq
-- Returns 1 if it was repaired, or the error CLOSED if the epoch is not open.
if redis.call('EXISTS', KEYS[2]) == 0 then return redis.error_reply('CLOSED the epoch is not open') end
local b = redis.call('HMGET', KEYS[1], 'seq', 'amount')
if b[1] ~= ARGV[1] or b[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'amount', ARGV[3], 'floor', ARGV[4], 'ceiling', ARGV[5], 'seq', ARGV[6])
return 1
