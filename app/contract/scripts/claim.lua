-- Lease those of the named jobs of a lane that are still queued.
-- Touches JOB_, READY_, WORK_, MODELS, LEASES, BELL_.
-- ARGV: lane, worker, lease_ms, id, id, ...
-- Returns for each job taken {id, payload, token, left_ms, waited_ms, attempt}.
local FIRST_ID = 4
local lane, worker, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = now_ms()

local function take(id)
  local state, token, attempt, steps, predicted, payload, deadline, created = get(id,
    'state', 'token', 'attempt', 'steps', 'predicted_ms', 'payload', 'deadline', 'created')
  if state ~= 'queued' then return nil end
  token, attempt = whole(token + 1), whole(attempt + 1)
  redis.call('HSET', JOB_ .. id, 'state', 'running', 'worker', worker, 'step', 0,
    'token', token, 'attempt', attempt)
  tell_of(id, 'running', attempt, 0, steps, predicted)
  return {id, payload, tonumber(token), deadline - now, now - created, tonumber(attempt)}
end

go_on_when_full()
local taken, ids, leases = {}, {}, {}
for i = FIRST_ID, #ARGV do
  local row = take(ARGV[i])
  if row then
    taken[#taken + 1] = row
    ids[#ids + 1] = row[1]
    leases[#leases + 1] = whole(now + lease)
    leases[#leases + 1] = row[1]
  end
end
if #ids > 0 then
  unqueue_all(ids, lane)
  redis.call('ZADD', LEASES, unpack(leases))
end
for _, place in ipairs(places(lane)) do
  if redis.call('EXISTS', READY_ .. place) == 1 then ring(place, 1) end
end
return taken
