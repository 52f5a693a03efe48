-- Sweep expired leases, then lease the most urgent job of a model and others of its class.
-- Touches JOB_, READY_, CLASS_, WORK_, MODELS, LEASES, DEAD, BELL_, OVER.
-- ARGV: model, worker, lease_ms, max_attempts, result_ttl_ms, dead_ttl_ms, factor of 1 image,
--       factor of 2 images, ...
-- Returns {ms until the next lease may expire, then for each job
--          {id, payload, token, left_ms, waited_ms, attempt}}.
local FIRST_FACTOR = 7
local model, worker, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local bounds = limits(4)
local now = now_ms()

local function sweep()
  local ids = redis.call('ZRANGEBYSCORE', LEASES, '-inf', whole(now), 'LIMIT', 0, SWEEP_LIMIT)
  for _, id in ipairs(ids) do expire_lease(id, bounds, now) end
end

local function next_expiry()
  local first = redis.call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')
  return first[2] and math.max(first[2] - now, 0) or lease
end

local function head()
  while true do
    local id = redis.call('ZRANGE', READY_ .. model, 0, 0)[1]
    if not id then return nil end
    local class = get(id, 'class')
    if class then return id, class end
    unqueue(id, model, nil)  -- its hash was removed from outside
  end
end

local function factor(images)
  return tonumber(ARGV[FIRST_FACTOR - 1 + images])
end

-- A job's predicted time is that of all its images at once.
local function one_image_ms(predicted, images)
  return predicted / (factor(images) or 1)
end

-- Whether `images` pictures made at once would all be ready by `deadline`.
local function fits(images, one_ms, deadline)
  local times = factor(images)
  return times and now + one_ms * times <= deadline
end

-- The class set is in deadline order, so its first member has the tightest deadline of the batch.
-- A job whose earlier attempt ended without an outcome runs alone: what kills its worker must not
-- use up the attempts of others.
local function batch(class)
  local most = math.max(#ARGV - FIRST_FACTOR + 1, 1)
  local ids, images, one_ms, tightest = {}, 0, 0, nil
  for _, id in ipairs(redis.call('ZRANGE', CLASS_ .. class, 0, most - 1)) do
    local count, ms, deadline, attempt = get(id, 'images', 'predicted_ms', 'deadline', 'attempt')
    if not count then
      redis.call('ZREM', CLASS_ .. class, id)  -- its hash was removed from outside
    else
      tightest = tightest or tonumber(deadline)
      images, one_ms = images + count, math.max(one_ms, one_image_ms(ms, count))
      local tried = tonumber(attempt) > 0
      if #ids > 0 and (tried or not fits(images, one_ms, tightest)) then return ids end
      ids[#ids + 1] = id
      if tried then return ids end
    end
  end
  return ids
end

local function take(id, class)
  unqueue(id, model, class)
  redis.call('ZADD', LEASES, whole(now + lease), id)
  redis.call('HSET', JOB_ .. id, 'state', 'running', 'worker', worker, 'step', 0)
  local token = redis.call('HINCRBY', JOB_ .. id, 'token', 1)
  local attempt = redis.call('HINCRBY', JOB_ .. id, 'attempt', 1)
  tell(id, 'running')
  local payload, deadline, created = get(id, 'payload', 'deadline', 'created')
  return {id, payload, token, deadline - now, now - created, attempt}
end

go_on_when_full()
sweep()
local first, class = head()
if not first then
  redis.call('DEL', BELL_ .. model)
  return {next_expiry()}
end
local taken = {0}
for _, id in ipairs(batch(class)) do taken[#taken + 1] = take(id, class) end
if redis.call('EXISTS', READY_ .. model) == 1 then ring(model) end
return taken
