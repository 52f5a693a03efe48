-- Show how far the first picture of a claim is. Touches PREVIEWS_, EVENTS_, OVER, TOLD; reads JOB_.
-- ARGV: id, token, number from 0, picture, ttl_ms
-- Returns 1; 0 when the lease was lost. Number 0 begins anew what an earlier attempt left.
local id, token, number, picture, ttl = unpack(ARGV)
if not held(id, token) then return 0 end

local previews = PREVIEWS_ .. id
if number == '0' then redis.call('DEL', previews) end
redis.call('RPUSH', previews, picture)
redis.call('PEXPIRE', previews, ttl)
redis.call('PUBLISH', OVER, id)
tell(id, 'preview')
return 1
