-- place: how many stand before a change in the line, and prolong its wait.
--
-- KEYS  1 the line   2 memo of the change
-- ARGV  1 ms from now until which its ticket is kept, 0 to leave it as it is
-- Returns {state, answer, payload, number of those before it}; state '' where the change is not known.
local memo = redis.call('HMGET', KEYS[2], 'state', 'answer', 'payload', 'id', 'until')
if not memo[1] then return {'', '', '', 0} end
local before = 0
if memo[1] == 'queued' then
  if ARGV[1] ~= '0' and memo[5] ~= '0' then
    local clock = redis.call('TIME')
    local deadline = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000) + tonumber(ARGV[1])
    redis.call('HSET', KEYS[2], 'until', string.format('%.0f', deadline))
  end
  before = #redis.call('XRANGE', KEYS[1], '-', '(' .. memo[4])
end
return {memo[1], memo[2] or '', memo[3] or '', before}
