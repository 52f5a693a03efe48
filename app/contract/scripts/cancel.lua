-- End a queued job, or ask the worker of a running one to stop. Touches JOB_, READY_,
-- WORK_, MODELS, LEASES, OVER.
-- ARGV: id, result_ttl_ms
-- Returns the state afterwards, nothing for an unknown job.
local id, result_ttl = unpack(ARGV)
local state, model = get(id, 'state', 'model')

local function lease_is_over()
  local ends = redis.call('ZSCORE', LEASES, id)
  return not ends or tonumber(ends) <= now_ms()
end

go_on_when_full()
if state == 'queued' then
  unqueue(id, lane_of(id) or model)
  cancelled(id, result_ttl)
elseif state == 'running' and lease_is_over() then
  redis.call('HINCRBY', JOB_ .. id, 'token', 1)
  cancelled(id, result_ttl)
elseif state == 'running' then
  redis.call('HSET', JOB_ .. id, 'cancel', 1)
end
return get(id, 'state')
