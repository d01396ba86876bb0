package redis

import (
	"crypto/sha1"
	"encoding/hex"

	"github.com/redis/rueidis"
)

// newer compares two numbers of 20 digits: as text they would be compared by
// the locale of the server, and as numbers they lose their last digits.
const newer = `
local function newer(a, b)
	local x, y = tonumber(string.sub(a, 1, 10)), tonumber(string.sub(b, 1, 10))
	if x ~= y then return x > y end
	return tonumber(string.sub(a, 11, 20)) > tonumber(string.sub(b, 11, 20))
end
local function head(key)
	local h = redis.pcall('GETRANGE', key, 0, 63)
	if type(h) ~= 'string' or #h < 64 or string.sub(h, 1, 2) ~= 'C1' or not string.find(string.sub(h, 4, 23), '^%d+$') then return nil end
	return string.sub(h, 3, 3), string.sub(h, 4, 23), string.sub(h, 39, 54)
end
`

// read gives what is under KEYS[1] with the rest of its TTL in milliseconds,
// both at one moment.
var read = newRead(`
local v = redis.call('GET', KEYS[1])
if not v then return false end
return {redis.call('PTTL', KEYS[1]), v}
`)

// write puts ARGV[3] under KEYS[1] for ARGV[4] milliseconds, unless what is
// there has a higher revision than ARGV[1]: a tombstone, or a value of the same
// generations ARGV[2].
var write = newScript(newer + `
local kind, revision, id = head(KEYS[1])
if kind and (kind == 'x' or id == ARGV[2]) and newer(revision, ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 1
`)

// remove takes away what is under KEYS[1] and older than the revision ARGV[1],
// or whatever it is when ARGV[4] is 1, and leaves the tombstone ARGV[2] for
// ARGV[3] milliseconds. A full Redis takes no tombstone.
var remove = newScript(newer + `
local kind, revision = head(KEYS[1])
if kind and not newer(ARGV[1], revision) and not (ARGV[4] == '1' and kind == 'v') then return 0 end
local set = redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if type(set) == 'table' and set.err then redis.call('UNLINK', KEYS[1]) end
return 1
`)

// forget takes away what is under KEYS[1], but no tombstone: what was put before
// that one, and comes late, is to be refused all the same.
var forget = newScript(newer + `
if head(KEYS[1]) == 'x' then return 0 end
return redis.call('UNLINK', KEYS[1])
`)

// raise makes the generations KEYS[1] if they are not there, of the identity
// ARGV[1], keeps them for about ARGV[2] milliseconds (3/4 of it at least), and raises them to the
// revision ARGV[3]: everything if ARGV[4] is 1, as many prefixes as ARGV[5]
// says, which follow, and the slots after them. Of more than ARGV[6] prefixes
// the oldest become everything up to their revision. It returns what Get reads.
var raise = newScript(newer + `
local g, revision = KEYS[1], ARGV[3]
if redis.call('EXISTS', g) == 0 then redis.call('HSET', g, 'i', ARGV[1]) end
if redis.call('PTTL', g) < 0.75 * tonumber(ARGV[2]) then redis.call('PEXPIRE', g, ARGV[2]) end
local function up(field)
	local now = redis.call('HGET', g, field)
	if now and not newer(revision, now) then return false end
	redis.call('HSET', g, field, revision)
	return true
end
up('m')
if ARGV[4] == '1' then up('a') end
local n, most = tonumber(ARGV[5]), tonumber(ARGV[6])
if n > 0 then
	local list, all = {}, redis.call('HGET', g, 'a')
	local packed, at = redis.call('HGET', g, 'p') or '', 1
	while at <= #packed do
		local length = tonumber(string.sub(packed, at + 20, at + 24))
		table.insert(list, {string.sub(packed, at, at + 19), string.sub(packed, at + 25, at + 24 + length)})
		at = at + 25 + length
	end
	for i = 1, n do
		local prefix, found = ARGV[6 + i], false
		for _, one in ipairs(list) do
			if one[2] == prefix then
				found = true
				if newer(revision, one[1]) then one[1] = revision end
			end
		end
		if not found then table.insert(list, {revision, prefix}) end
	end
	table.sort(list, function(x, y) return newer(x[1], y[1]) end)
	while #list > most do
		local oldest = table.remove(list)[1]
		if not all or newer(oldest, all) then all = oldest end
	end
	if all then redis.call('HSET', g, 'a', all) end
	packed = {}
	for _, one in ipairs(list) do
		if not all or newer(one[1], all) then table.insert(packed, one[1] .. string.format('%05d', #one[2]) .. one[2]) end
	end
	redis.call('HSET', g, 'p', table.concat(packed))
	redis.call('HINCRBY', g, 'q', 1)
end
for i = 7 + n, #ARGV do up('t' .. ARGV[i]) end
if #ARGV > 6 + n then redis.call('HINCRBY', g, 'w', 1) end
return redis.call('HMGET', g, 'i', 'm', 'a', 'q', 'w')
`)

// script is one that is known to the server by its hash, once it was sent.
type script struct {
	text string
	hash string
	exec *rueidis.Lua
}

func newScript(text string) script { return script{text, hash(text), rueidis.NewLuaScript(text)} }

// newRead is one that may be run twice.
func newRead(text string) script {
	return script{text, hash(text), rueidis.NewLuaScriptRetryable(text)}
}

func hash(text string) string {
	sum := sha1.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}
