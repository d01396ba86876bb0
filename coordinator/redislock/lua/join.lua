local token, lease, floor = ARGV[1], num(ARGV[2]), num(ARGV[3])
local wants, previous, arrived, known, channels = ARGV[4], num(ARGV[5]), num(ARGV[6]), ARGV[7], ARGV[8]
local function is(flag) return string.find(wants, flag, 1, true) ~= nil end

-- What an invalidation up to floor concerns has ended.
local ended = {}
if S['form?'] ~= '' and num(S.revision) < floor then dropValue(ended) end
if num(S.pause) > now and num(S.paused) < floor then ended.pause = '' end
if S.token ~= '' and num(S.deadline) > now and num(S.began) < floor then detach(channels, ended) end
if next(ended) then write(ended) end

-- A value.
local value = S['form?'] ~= '' and not is('X')
local function form() return redis.call('HMGET', K, 'form', 'body') end
if value and (not is('F') or arrived > 0 and num(S.of) > arrived) then
  local passed = now - num(S.at)
  if now < num(S.fresh) then
    -- A refresh wants a newer one than it has; clocks differ by a message's way.
    if not is('R') or previous >= 0 and num(S.age) + passed + 50000 < previous then
      local f = form()
      return {'V', f[1], f[2], int(passed), S['form?'] == 'b' and 1 or 0}
    end
  elseif not is('S') and not is('R') and now < num(S.usable) then
    local f = form()
    return {'S', f[1], f[2], int(passed), S['form?'] == 'b' and 1 or 0}
  end
end

-- A lease of somebody.
if S.token == token then return {'L', S.fence} end
if S.token ~= '' and num(S.deadline) > now then
  if not has(S.waiting, token) then write({waiting = S.waiting .. token .. ' '}) end
  return {'H', S.token, int(num(S.deadline) - now), S.fence}
end

-- A failure in its pause, or a pass.
if num(S.pause) > now then
  local e = redis.call('HGET', K, 'error')
  if not e or e == '' then return {'P'} end
  return {'E', e, int(num(S.pause) - now)}
end
if is('L') then return {'U'} end

local fence = math.max(num(S.fence) + 1, now)
write({token = token, fence = int(fence), deadline = int(now + lease), began = known, waiting = '', left = ''})
expire(lease)
if value and S['form?'] == 'v' and not is('P') then
  return {'L', int(fence), redis.call('HGET', K, 'form'), int(now - num(S.at))}
end
return {'L', int(fence)}
