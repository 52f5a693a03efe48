-- All queued work by lane. Reads JOB_, MODELS, WORK_.
-- ARGV: none
-- Returns {lane, jobs, their predicted ms as text, lane, ...}.
local jobs, work = {}, {}

local function count(lane, ms)
  jobs[lane] = (jobs[lane] or 0) + 1
  work[lane] = (work[lane] or 0) + ms
end

for _, place in ipairs(redis.call('SMEMBERS', MODELS)) do
  local found = redis.call('HGETALL', WORK_ .. place)
  for i = 1, #found, 2 do
    local lane = lane_of(found[i])
    if lane then count(lane, found[i + 1]) end
  end
end

local depths = {}
for lane, number in pairs(jobs) do
  depths[#depths + 1] = lane
  depths[#depths + 1] = number
  depths[#depths + 1] = tostring(work[lane])
end
return depths
