-- A process has connected: it is told all that was invalidated by tag, by prefix
-- and as a whole.
local me, presence, seen, heard, newid, channel = ARGV[1], num(ARGV[2]), num(ARGV[3]), num(ARGV[4]), ARGV[5], ARGV[6]

local g = redis.call('HMGET', KEYS[1], 'id', 'revision', 'all')
local id, revision, all = g[1], num(g[2]), num(g[3])
local before, lost = revision, not id or seen > revision
if lost then
  -- The history is lost, or its end: nothing that is older is trusted.
  id = newid
  revision = math.max(now, heard + 1, seen + 1, revision + 1)
  all, before = revision, 0
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[2], 'id', id)
elseif heard > revision then
  revision = heard
end
if revision ~= before then
  redis.call('HSET', KEYS[1], 'id', id, 'revision', int(revision), 'all', int(all))
  local ears = redis.call('PUBLISH', channel, id .. '\n' .. int(before) .. '\n' .. int(revision) .. '\n' .. me .. '\n')
  -- Others may be there that live does not know any more.
  if lost and (seen > 0 or ears > 1) then redis.call('HSET', KEYS[1], 'since', int(now)) end
end
redis.call('HSET', KEYS[2], me, int(now + presence) .. ' 0')
return {id, int(revision), int(all), redis.call('HGETALL', KEYS[1])}
