-- What new jobs of a lane would find: who waits, and the queued work before each one's deadline.
-- Reads JOB_, READY_, WORK_, ARRIVALS_.
-- ARGV: lane, most rows, budget_ms, budget_ms, ...
-- Returns {now (unix ms), arrivals, {jobs before the first deadline, their predicted ms as text,
--         jobs before the second, ...}, row, row, ...}; rows and arrivals as in prelude.lua, most
--         urgent first.
local CHUNK = 1000  -- more arguments at once may overflow the Lua stack
local FIRST_BUDGET = 3
local lane, most = ARGV[1], tonumber(ARGV[2])
local now = now_ms()
local rows = line_of(lane, most, now)

local function ids_at(place, budget)
  local ids = redis.call('ZRANGEBYSCORE', READY_ .. place, '-inf', '(' .. whole(now + budget))
  if place == lane then return ids end
  local ours = {}
  for _, id in ipairs(ids) do
    if lane_of(id) == lane then ours[#ours + 1] = id end
  end
  return ours
end

local function all_before(budget)
  local jobs, work = 0, 0
  for _, place in ipairs(places(lane)) do
    local ids = ids_at(place, budget)
    jobs = jobs + #ids
    for first = 1, #ids, CHUNK do
      local last = math.min(first + CHUNK - 1, #ids)
      for _, ms in ipairs(redis.call('HMGET', WORK_ .. place, unpack(ids, first, last))) do
        work = work + (tonumber(ms) or 0)
      end
    end
  end
  return jobs, work
end

-- Where the rows are all who wait, nobody else has to be looked at.
local function before(budget)
  if #rows >= most then return all_before(budget) end
  local jobs, work = 0, 0
  for _, row in ipairs(rows) do
    if row[3] < tonumber(budget) then jobs, work = jobs + 1, work + (tonumber(row[7]) or 0) end
  end
  return jobs, work
end

local works = {}
for i = FIRST_BUDGET, #ARGV do
  local jobs, work = before(ARGV[i])
  works[#works + 1] = jobs
  works[#works + 1] = tostring(work)
end
local found = {now, arrivals_of(lane), works}
for _, row in ipairs(rows) do found[#found + 1] = row end
return found
