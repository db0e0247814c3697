-- served: remove one change from the line and remember its answer. Safe to repeat.
--
-- KEYS  1 the line   2 memo of the change
-- ARGV  1 stream ID   2 state: 'done', 'failed'   3 answer
redis.call('XDEL', KEYS[1], ARGV[1])
if redis.call('HGET', KEYS[2], 'id') == ARGV[1] then
  redis.call('HSET', KEYS[2], 'state', ARGV[2], 'answer', ARGV[3])
end
return 1
