-- A process is there, and has applied a revision. KEYS: state, processes.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', now + tonumber(ARGV[2])) .. ' ' .. ARGV[3])
local g = redis.call('HMGET', KEYS[1], 'id', 'revision')
return {g[1] or '', g[2] or '0'}
