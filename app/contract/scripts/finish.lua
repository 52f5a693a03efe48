-- Store the result and pictures of a claim. Touches JOB_, IMAGES_, LEASES, OVER.
-- ARGV: id, token, result, result_ttl_ms, picture, picture, ...
-- Returns 1, also when this claim had stored it before; 0 when the lease was lost.
local FIRST_PICTURE = 5
local id, token, result, ttl = unpack(ARGV, 1, 4)
go_on_when_full()
if repeated(id, token, 'done') then return 1 end
if not held(id, token) then return 0 end
if get(id, 'cancel') then
  cancelled(id, ttl)
  return 1
end

local pictures = IMAGES_ .. id
redis.call('DEL', pictures)
for i = FIRST_PICTURE, #ARGV do redis.call('RPUSH', pictures, ARGV[i]) end
redis.call('PEXPIRE', pictures, ttl)
redis.call('HSET', JOB_ .. id, 'step', get(id, 'steps'))
conclude(id, 'done', result, ttl)
return 1
