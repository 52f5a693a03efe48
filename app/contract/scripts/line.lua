-- Sweep expired leases, then show who waits in a lane, most urgent first.
-- Touches JOB_, READY_, WORK_, MODELS, LEASES, DEAD, BELL_, OVER; reads ARRIVALS_, CREW_.
-- ARGV: lane, lease_ms, max_attempts, result_ttl_ms, dead_ttl_ms, most rows
-- Returns {now (unix ms), ms until the next lease may expire, live workers of the lane, arrivals,
--          row, row, ...}; rows and arrivals as in prelude.lua.
local lane, lease, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[6])
local bounds = limits(3)
local now = now_ms()

local function sweep()
  local ids = redis.call('ZRANGEBYSCORE', LEASES, '-inf', whole(now), 'LIMIT', 0, SWEEP_LIMIT)
  for _, id in ipairs(ids) do expire_lease(id, bounds, now) end
end

local function next_expiry()
  local first = redis.call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')
  return first[2] and math.max(first[2] - now, 0) or lease
end

local function line()
  local rows, lost = line_of(lane, most, now)
  for _, id in ipairs(lost) do unqueue(id, lane) end
  if #rows == 0 and #lost > 0 then return line() end
  return rows
end

go_on_when_full()
sweep()
local rows = line()
if #rows == 0 then redis.call('DEL', BELL_ .. lane) end
local workers = 0
for _, place in ipairs(places(lane)) do
  workers = workers + redis.call('ZCOUNT', CREW_ .. place, whole(now), '+inf')
end
local found = {now, next_expiry(), workers, arrivals_of(lane)}
for _, row in ipairs(rows) do found[#found + 1] = row end
return found
