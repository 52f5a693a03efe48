-- Dead letters that have not been forgotten. Touches DEAD.
-- ARGV: dead_ttl_ms, how many ids at most
-- Returns {how many there are, id, id, ...}, the latest first.
forget_dead(now_ms(), ARGV[1])
local found = {redis.call('ZCARD', DEAD)}
if tonumber(ARGV[2]) > 0 then
  for _, id in ipairs(redis.call('ZREVRANGE', DEAD, 0, ARGV[2] - 1)) do found[#found + 1] = id end
end
return found
