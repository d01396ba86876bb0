-- What every script of a key begins with. KEYS[1] is the key's hash; a field
-- that is not there and an empty one mean the same.
local K = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2] -- µs

local FIELDS = {'token', 'fence', 'deadline', 'began', 'waiting', 'left', 'token2', 'waiting2', 'left2',
  'fresh', 'usable', 'kept', 'revision', 'of', 'at', 'age', 'form?', 'pause', 'paused'}
local S = {}
for i, value in ipairs(redis.call('HMGET', K, unpack(FIELDS))) do S[FIELDS[i]] = value or '' end

local function num(s) return tonumber(s) or 0 end
local function int(n) return string.format('%.0f', n) end

-- A list of those who wait has a token for each Join, which begins with its
-- process: one that leaves takes only itself.
local function has(list, join) return string.find(' ' .. list, ' ' .. join .. ' ', 1, true) end
local function without(list, join)
  local out = ''
  for j in string.gmatch(list, '%S+') do
    if j ~= join then out = out .. j .. ' ' end
  end
  return out
end

-- write sets fields in the hash and in S.
local function write(fields)
  local flat = {}
  for name, value in pairs(fields) do
    S[name] = value
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  redis.call('HSET', K, unpack(flat))
end

-- expire lets the hash live as long as the longest of what is in it: a lease
-- twice, for whoever is late; a value for 30 days at most, also where it could be
-- validated for ever.
local longest = 2592000000 -- ms
local function expire(lease)
  local till = math.max(num(S.kept), num(S.pause), S.token ~= '' and num(S.deadline) + lease or now + lease)
  redis.call('PEXPIRE', K, int(math.min(math.ceil((till - now) / 1000), longest)))
end

-- tell sends a letter to each process that waits, once.
local function tell(channels, list, message)
  local told = {}
  for p in string.gmatch(list, '([^.%s]+)%.%S+') do
    if not told[p] then redis.call('PUBLISH', channels .. p, message) end
    told[p] = true
  end
end

-- detach makes the lease one whose outcome goes to those who wait for it now,
-- and to nobody who comes later. There is one such lease: those who wait for an
-- older one ask again.
local function detach(channels, fields)
  if S.token == '' then return end
  if S.token2 ~= '' then tell(channels, S.waiting2, 'A\n' .. S.token2 .. '\n0\n') end
  fields.token2, fields.waiting2, fields.left2 = S.token, S.waiting, S.left
  fields.token, fields.waiting, fields.left = '', '', ''
end

local function dropValue(fields)
  if S['form?'] ~= '' then redis.call('HDEL', K, 'form', 'body') end
  fields['form?'], fields.kept, fields.fresh, fields.usable = '', '', '', ''
end
