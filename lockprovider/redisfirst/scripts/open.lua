-- open: open an epoch, unless it has been closed.
--
-- KEYS  1 mark of an open epoch   2 mark of a closed one
-- Returns 1 if the epoch is open now.
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('SET', KEYS[1], '1')
return 1
