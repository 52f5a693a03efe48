-- Lease those of the named jobs of a lane that are still queued.
-- Touches JOB_, READY_, WORK_, MODELS, LEASES, BELL_.
-- ARGV: lane, worker, lease_ms, id, id, ...
-- Returns for each job taken {id, payload, token, left_ms, waited_ms, attempt}.
local FIRST_ID = 4
local lane, worker, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = now_ms()

local function take(id)
  unqueue(id, lane)
  redis.call('ZADD', LEASES, whole(now + lease), id)
  redis.call('HSET', JOB_ .. id, 'state', 'running', 'worker', worker, 'step', 0)
  local token = redis.call('HINCRBY', JOB_ .. id, 'token', 1)
  local attempt = redis.call('HINCRBY', JOB_ .. id, 'attempt', 1)
  tell(id, 'running')
  local payload, deadline, created = get(id, 'payload', 'deadline', 'created')
  return {id, payload, token, deadline - now, now - created, attempt}
end

go_on_when_full()
local taken = {}
for i = FIRST_ID, #ARGV do
  if get(ARGV[i], 'state') == 'queued' then taken[#taken + 1] = take(ARGV[i]) end
end
for _, place in ipairs(places(lane)) do
  if redis.call('EXISTS', READY_ .. place) == 1 then ring(place) end
end
return taken
