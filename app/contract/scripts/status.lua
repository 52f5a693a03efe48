-- What is known of a job. Reads JOB_, READY_.
-- ARGV: id
-- Returns {state, model, attempt, step, steps, created, deadline, outcome or "", jobs before it or
--          -1}; nothing for an unknown job.
local id = ARGV[1]
local state, model, attempt, step, steps, created, deadline, outcome =
  get(id, 'state', 'model', 'attempt', 'step', 'steps', 'created', 'deadline', 'outcome')
if not state then return false end

local position = -1
if state == 'queued' then
  position = 0
  for _, place in ipairs(places(lane_of(id) or model)) do
    position = position + redis.call('ZCOUNT', READY_ .. place, '-inf', '(' .. deadline)
  end
end
return {state, model, attempt, step, steps, created, deadline, outcome or '', position}
