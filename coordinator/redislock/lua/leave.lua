-- The holder has left: 1 says that nobody waits.
local token = ARGV[1]
if S.token == token then
  if S.waiting == '' then return 1 end
  write({left = '1'})
elseif S.token2 == token then
  if S.waiting2 == '' then return 1 end
  write({left2 = '1'})
end
return 0
