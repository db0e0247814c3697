-- serve: begin to serve one change of the line, unless its caller has left or its ticket has expired. Safe to repeat.
--
-- KEYS  1 the line   2 memo of the change
-- ARGV  1 stream ID
-- Returns 1 if the change is to be served, 0 if it is not in the line any more
local memo = redis.call('HMGET', KEYS[2], 'state', 'id', 'until')
if not memo[1] then return 1 end -- forgotten, and so nobody can leave
local serve = memo[2] == ARGV[1] -- else its caller left, and joined again behind
if serve and memo[1] == 'queued' then
  if memo[3] ~= '0' then
    local clock = redis.call('TIME') -- which the ticket's deadline was made from
    serve = tonumber(memo[3]) >= tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
  end
  redis.call('HSET', KEYS[2], 'state', serve and 'serving' or 'left')
elseif memo[1] ~= 'serving' then
  serve = false
end
if not serve then
  redis.call('XDEL', KEYS[1], ARGV[1])
  return 0
end
return 1
