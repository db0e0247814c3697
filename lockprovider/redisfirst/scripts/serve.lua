-- serve: begin to serve one change of the line, unless its caller has left or its ticket has expired. Safe to repeat.
--
-- KEYS  1 the line   2 memo of the change
-- ARGV  1 stream ID   2 now in ms of Unix time
-- Returns 1 if the change is to be served, 0 if it is not in the line any more
local memo = redis.call('HMGET', KEYS[2], 'state', 'id', 'until')
if not memo[1] then return 1 end -- forgotten, and so nobody can leave
local serve = memo[2] == ARGV[1] -- else its caller left, and joined again behind
if serve and memo[1] == 'queued' then
  serve = memo[3] == '0' or tonumber(memo[3]) >= tonumber(ARGV[2])
  redis.call('HSET', KEYS[2], 'state', serve and 'serving' or 'left')
elseif memo[1] ~= 'serving' then
  serve = false
end
if not serve then
  redis.call('XDEL', KEYS[1], ARGV[1])
  return 0
end
return 1
