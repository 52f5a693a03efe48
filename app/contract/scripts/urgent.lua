-- Tell how long the most urgent job of a lane has left, of those not late yet. Reads READY_.
-- ARGV: lane
-- Returns milliseconds, -1 when nobody waits.
local now, least = now_ms(), -1
for _, place in ipairs(places(ARGV[1])) do
  local first = redis.call('ZRANGEBYSCORE', READY_ .. place, whole(now), '+inf', 'WITHSCORES',
    'LIMIT', 0, 1)
  local left = first[2] and first[2] - now
  if left and (least < 0 or left < least) then least = left end
end
return least
