-- Accept a job once. Touches JOB_, READY_, CLASS_, WORK_, MODELS, BELL_; DEAD and OVER when full.
-- ARGV: id, payload, model, class, images, predicted_ms, steps, budget_ms, max_jobs,
--       unclaimed_ttl_ms, dead_ttl_ms
-- Returns the deadline (unix ms), or -1 when the queue is full.
local id, payload, model, class, images, predicted, steps = unpack(ARGV, 1, 7)
local budget, max_jobs, unclaimed_ttl, dead_ttl = unpack(ARGV, 8, 11)

local function queued()
  local total = 0
  for _, name in ipairs(redis.call('SMEMBERS', MODELS)) do
    total = total + redis.call('ZCARD', READY_ .. name)
  end
  return total
end

-- Jobs of a model whose workers never came back must not block everyone for ever.
local function bury_unclaimed(now)
  local before = whole(now - unclaimed_ttl)
  for _, name in ipairs(redis.call('SMEMBERS', MODELS)) do
    local ids = redis.call('ZRANGEBYSCORE', READY_ .. name, '-inf', before, 'LIMIT', 0, SWEEP_LIMIT)
    for _, old in ipairs(ids) do
      unqueue(old, name, get(old, 'class'))
      bury(old, 'no worker took it', now, dead_ttl)
    end
  end
end

local known = get(id, 'deadline')
if known then return tonumber(known) end

local now = now_ms()
if queued() >= tonumber(max_jobs) then bury_unclaimed(now) end
if queued() >= tonumber(max_jobs) then return -1 end

local deadline = whole(now + budget)
redis.call('HSET', JOB_ .. id, 'payload', payload, 'model', model, 'class', class,
  'images', images, 'predicted_ms', predicted, 'steps', steps, 'step', 0, 'attempt', 0,
  'token', 0, 'created', whole(now), 'deadline', deadline)
queue(id)
return tonumber(deadline)
