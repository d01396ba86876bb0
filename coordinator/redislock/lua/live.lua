-- Who is there. KEYS: processes.
local clock = redis.call('TIME')
return {string.format('%.0f', clock[1] * 1000000 + clock[2]), redis.call('HGETALL', KEYS[1])}
