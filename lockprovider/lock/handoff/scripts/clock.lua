-- stamp is Redis' time in us, as text: its own microseconds have up to six digits, and two stamps are compared as they are.
local clock = redis.call('TIME')
local stamp = clock[1] .. string.sub('00000' .. clock[2], -6)
