-- What the scripts of all have in common. KEYS: state, live.
--
-- state has the history's id, the newest revision, all (the newest invalidation
-- of everything), since (when the history began, if somebody may not know), a
-- field for each tag's place (t:…) and prefix (p:…), and how many prefixes there
-- are. It is one key, so that it is lost as a whole or not at all. live has the
-- processes, and the history's id, which shows when it is lost.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2] -- µs
local function int(n) return string.format('%.0f', n) end
local function num(s) return tonumber(s) or 0 end
