local token, channels, kind, lease, inline = ARGV[1], ARGV[2], ARGV[3], num(ARGV[4]), num(ARGV[5])
local form, body, hasBody = ARGV[6], ARGV[7], ARGV[8] == '1'
local ttl, stale, usable, revision, age = num(ARGV[9]), num(ARGV[10]), num(ARGV[11]), ARGV[12], ARGV[13]
local failure, pause = ARGV[14], num(ARGV[15])

local fields, list, fence = {}, nil, S.fence
if S.token == token then
  list = S.waiting
  fields.token, fields.waiting, fields.left = '', '', ''
elseif S.token2 == token then
  list, fence = S.waiting2, '0'
  fields.token2, fields.waiting2, fields.left2 = '', '', ''
else
  return 0
end
local attached = S.token == token

local message = kind
if kind == 'V' then
  if attached then
    local fresh = math.min(now + ttl, 9e15)
    fields['form?'], fields.form, fields.body = hasBody and 'b' or 'v', form, body
    fields.fresh, fields.usable, fields.kept = int(fresh), int(math.min(fresh + stale, 9e15)), int(math.min(fresh + usable, 9e15))
    fields.at, fields.age, fields.revision, fields.of = int(now), age, revision, S.fence
    fields.pause = ''
    if #form + #body > inline then message = 'R' end
  end
elseif attached and kind == 'E' and pause > 0 then
  fields.error, fields.pause, fields.paused = failure, int(now + pause), S.began
elseif attached and kind == 'P' then
  fields.error, fields.pause, fields.paused = '', int(now + pause), S.began
end
write(fields)
if attached and (kind == 'V' or kind == 'E' or kind == 'P') then expire(lease) end

if list ~= '' then
  local head = message .. '\n' .. token .. '\n' .. fence .. '\n'
  if message == 'V' or message == 'W' then
    head = 'V\n' .. token .. '\n' .. fence .. '\n' .. #form .. '\n' .. (hasBody and 1 or 0) .. '\n' .. form .. body
  elseif message == 'E' then
    head = head .. int(pause) .. '\n' .. failure
  end
  tell(channels, list, head)
end
return attached and 1 or 2
