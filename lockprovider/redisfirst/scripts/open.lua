-- open: open an epoch, unless it has been closed.
--
-- KEYS  1 mark of an open epoch   2 mark of a closed one
-- ARGV  1 seconds from now in which changes may come whose memos Redis does not have, 0 if there are none
-- Returns 1 if the epoch is open now.
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local mark = '1' -- Redis has all memos; else the time of Unix from which on it has
if ARGV[1] ~= '0' then mark = string.format('%.0f', tonumber(redis.call('TIME')[1]) + tonumber(ARGV[1])) end
redis.call('SETNX', KEYS[1], mark)
return 1
