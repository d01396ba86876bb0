-- The key is invalidated: what is kept goes, what is under way is detached.
-- With a token a lease is granted in its place.
local channels, token, lease, known = ARGV[1], ARGV[2], num(ARGV[3]), ARGV[4]
local fields = {}
detach(channels, fields)
dropValue(fields)
fields.pause = ''
if token ~= '' then
  fields.token, fields.waiting, fields.left = token, '', ''
  fields.fence, fields.deadline, fields.began = int(math.max(num(S.fence) + 1, now)), int(now + lease), known
elseif redis.call('EXISTS', K) == 0 then
  return 0
end
write(fields)
expire(lease)
return 1
