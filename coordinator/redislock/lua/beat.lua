-- A process is there, and has applied a revision.
redis.call('HSET', KEYS[2], ARGV[1], int(now + num(ARGV[2])) .. ' ' .. ARGV[3])
local g = redis.call('HMGET', KEYS[1], 'id', 'revision')
return {g[1] or '', g[2] or '0'}
