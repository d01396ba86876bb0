-- A target is given the next revision and told to all. The answer has who is to
-- apply it, and for how long others may be there whom Redis has forgotten.
local me, presence, heard, newid, channel, everything = ARGV[1], num(ARGV[2]), num(ARGV[3]), ARGV[4], ARGV[5], ARGV[6] == '1'
local maxPrefixes, message, slots = num(ARGV[7]), ARGV[8], num(ARGV[9])

local g = redis.call('HMGET', KEYS[1], 'id', 'revision', 'all', 'since', 'prefixes')
local id, before, all, since, prefixes = g[1], num(g[2]), g[3] or '0', num(g[4]), num(g[5])
local revision = int(math.max(before + 1, heard + 1, now))
if not id then id, before, everything, since = newid, 0, true, now end
if redis.call('HGET', KEYS[2], 'id') ~= id then
  since = now
  redis.call('HSET', KEYS[2], 'id', id)
end
for i = 10, 9 + slots do redis.call('HSET', KEYS[1], 't:' .. ARGV[i], revision) end
for i = 10 + slots, #ARGV do prefixes = prefixes + redis.call('HSET', KEYS[1], 'p:' .. ARGV[i], revision) end
if prefixes > maxPrefixes then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, 2) == 'p:' then redis.call('HDEL', KEYS[1], field) end
  end
  prefixes, everything = 0, true
end
if everything then all = revision end
redis.call('HSET', KEYS[1], 'id', id, 'revision', revision, 'all', all, 'since', int(since), 'prefixes', prefixes)
redis.call('PUBLISH', channel, id .. '\n' .. int(before) .. '\n' .. revision .. '\n' .. me .. '\n' .. message)

local live = redis.call('HGETALL', KEYS[2])
for i = 1, #live, 2 do
  local till = string.match(live[i + 1], '^(%d+) ')
  if till and num(till) < now - 15 * presence then redis.call('HDEL', KEYS[2], live[i]) end
end
return {revision, int(math.max(since + presence - now, 0)), int(now), live}
