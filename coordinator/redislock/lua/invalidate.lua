-- A target is given the next revision and told to all. KEYS: state, tags,
-- prefixes, processes. The answer has who is to apply it.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local function int(n) return string.format('%.0f', n) end
local me, heard, newid, channel, everything = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5] == '1'
local maxPrefixes, message, slots = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])

local g = redis.call('HMGET', KEYS[1], 'id', 'revision', 'all')
local id, before, all = g[1], tonumber(g[2] or 0), g[3] or '0'
local revision = int(math.max(before + 1, heard + 1, now))
local anew = not id
if anew then id, before, everything = newid, 0, true end
for i = 9, 8 + slots do redis.call('HSET', KEYS[2], ARGV[i], revision) end
for i = 9 + slots, #ARGV do redis.call('HSET', KEYS[3], ARGV[i], revision) end
if #ARGV > 8 + slots and redis.call('HLEN', KEYS[3]) > maxPrefixes then
  redis.call('DEL', KEYS[3])
  everything = true
end
if everything then all = revision end
redis.call('HSET', KEYS[1], 'id', id, 'revision', revision, 'all', all)
redis.call('PUBLISH', channel, id .. '\n' .. int(before) .. '\n' .. revision .. '\n' .. me .. '\n' .. message)

local live = redis.call('HGETALL', KEYS[4])
for i = 1, #live, 2 do
  if tonumber(string.match(live[i + 1], '^%d+')) < now - 60000000 then redis.call('HDEL', KEYS[4], live[i]) end
end
return {revision, anew and 1 or 0, int(now), live}
