-- Let a caller in unless it was let in too often within the window that ends now. Touches RATE_.
-- ARGV: caller, name of this entry, most entries in a window, window_ms
-- Returns {1 or 0, how many more may enter now, ms until there is room for one more}.
local taken, entry, most, window = RATE_ .. ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_ms()

redis.call('ZREMRANGEBYSCORE', taken, '-inf', whole(now - window))
local before = redis.call('ZCARD', taken)
local fits = before < most
if fits then
  redis.call('ZADD', taken, whole(now), entry)
  redis.call('PEXPIRE', taken, window)
end

-- The entry that has to leave the window before another can enter; a limit may have been lowered.
local count = fits and before + 1 or before
local first = math.max(count - most, 0)
local leaving = redis.call('ZRANGE', taken, first, first, 'WITHSCORES')[2]
return {fits and 1 or 0, math.max(most - count, 0), leaving + window - now}
