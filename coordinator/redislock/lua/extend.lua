local token, lease = ARGV[1], num(ARGV[2])
if S.token == token then
  write({deadline = int(now + lease)})
elseif S.token2 ~= token then
  return 0
end
expire(lease)
return 1
