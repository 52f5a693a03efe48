-- All queued work by model. Reads MODELS, WORK_.
-- ARGV: none
-- Returns {model, jobs, their predicted ms as text, model, ...}.
local depths = {}
for _, model in ipairs(redis.call('SMEMBERS', MODELS)) do
  local jobs = redis.call('HVALS', WORK_ .. model)
  local work = 0
  for _, ms in ipairs(jobs) do work = work + ms end
  depths[#depths + 1] = model
  depths[#depths + 1] = #jobs
  depths[#depths + 1] = tostring(work)
end
return depths
