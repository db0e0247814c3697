-- close: have scripts refuse an epoch from now on.
--
-- KEYS  1 mark of an open epoch   2 mark of a closed one
-- ARGV  1 life of the second mark in ms
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], '1', 'PX', ARGV[1])
return 1
