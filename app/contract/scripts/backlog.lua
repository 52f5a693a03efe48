-- What a new job of a lane would find: queued work before its deadline, and who waits.
-- Reads JOB_, READY_, WORK_, ARRIVALS_.
-- ARGV: lane, budget_ms, most rows
-- Returns {now (unix ms), jobs before it, their predicted ms as text, arrivals, row, row, ...}; rows
--         and arrivals as in prelude.lua, most urgent first.
local CHUNK = 1000  -- more arguments at once may overflow the Lua stack
local lane, budget, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = now_ms()
local before = '(' .. whole(now + budget)

local function ids_at(place)
  local ids = redis.call('ZRANGEBYSCORE', READY_ .. place, '-inf', before)
  if place == lane then return ids end
  local ours = {}
  for _, id in ipairs(ids) do
    if lane_of(id) == lane then ours[#ours + 1] = id end
  end
  return ours
end

local jobs, work = 0, 0
for _, place in ipairs(places(lane)) do
  local ids = ids_at(place)
  jobs = jobs + #ids
  for first = 1, #ids, CHUNK do
    local last = math.min(first + CHUNK - 1, #ids)
    for _, ms in ipairs(redis.call('HMGET', WORK_ .. place, unpack(ids, first, last))) do
      work = work + (tonumber(ms) or 0)
    end
  end
end

local found = {now, jobs, tostring(work), arrivals_of(lane)}
for _, row in ipairs((line_of(lane, most, now))) do found[#found + 1] = row end
return found
