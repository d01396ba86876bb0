-- A process has connected: it is told all that was invalidated by tag, by prefix
-- and as a whole. KEYS: state, tags, prefixes, processes.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local function int(n) return string.format('%.0f', n) end
local me, presence, seen, heard, newid, channel = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]

local g = redis.call('HMGET', KEYS[1], 'id', 'revision', 'all')
local id, revision, all = g[1], tonumber(g[2] or 0), tonumber(g[3] or 0)
local before = revision
if not id or seen > revision then
  -- The history is lost, or its end: nothing that is older is trusted.
  id = newid
  revision = math.max(now, heard + 1, seen + 1, revision + 1)
  all, before = revision, 0
  redis.call('DEL', KEYS[2], KEYS[3])
elseif heard > revision then
  revision = heard
end
if revision ~= before then
  redis.call('HSET', KEYS[1], 'id', id, 'revision', int(revision), 'all', int(all))
  redis.call('PUBLISH', channel, id .. '\n' .. int(before) .. '\n' .. int(revision) .. '\n' .. me .. '\n')
end
redis.call('HSET', KEYS[4], me, int(now + presence) .. ' 0')
return {id, int(revision), int(all), redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3])}
