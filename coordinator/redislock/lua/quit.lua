-- A Join waits no longer. A holder that has left is told when it was the last.
local token, join, channels = ARGV[1], ARGV[2], ARGV[3]
local suffix = S.token == token and '' or S.token2 == token and '2' or nil
if not suffix then return 0 end
local fields = {}
fields['waiting' .. suffix] = without(S['waiting' .. suffix], join)
local last = fields['waiting' .. suffix] == '' and S['left' .. suffix] == '1'
if last then fields['left' .. suffix] = '' end
write(fields)
if last then redis.call('PUBLISH', channels .. string.match(token, '^[^.]*'), 'U\n' .. token .. '\n0\n') end
return 1
