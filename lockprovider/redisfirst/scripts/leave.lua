-- leave: give up a place in the line; nothing happens if the change is being served or has been.
--
-- KEYS  1 the line   2 memo of the change
-- ARGV  1 stream ID
local state = redis.call('HGET', KEYS[2], 'state')
if state ~= 'queued' then return 0 end
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[2], 'state', 'left')
return 1
