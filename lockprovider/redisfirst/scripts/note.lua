-- note: note at what moment of its life a database is, unless Redis has noted one that the database does not know: one of the
-- two was restored then.
--
-- KEYS  1 what is noted of the database
-- ARGV  1 the moment   2 the moments that the database knows, each between commas; '' to note the moment in any case
--       3... family, epoch
-- Returns 1 if the moment is noted now.
local noted = redis.call('HGET', KEYS[1], 'moment')
if noted and ARGV[2] ~= '' and not string.find(ARGV[2], ',' .. noted .. ',', 1, true) then return 0 end
redis.call('HSET', KEYS[1], 'moment', ARGV[1])
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], 'epoch:' .. ARGV[i], ARGV[i + 1]) end
return 1
