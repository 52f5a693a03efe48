-- Accept jobs, each once. Touches JOB_, READY_, WORK_, MODELS, BELL_, ONCE_, ARRIVALS_; DEAD and OVER
-- when full.
-- ARGV for each job: id, payload, model, class, images, predicted_ms, steps, budget_ms, max_jobs,
--       unclaimed_ttl_ms, dead_ttl_ms, owner (or ""), most live jobs of the owner (0: any number),
--       name of the idempotency key (or ""), fingerprint of the request, ms to remember both,
--       quality of the plan, least quality asked for, 1 if the job met others (else 0),
--       URL of a webhook (or ""), lane
-- Returns for each job the deadline (unix ms); -1 when the queue is full, -2 when the owner has too many jobs,
-- -3 when the idempotency key was used for another request, the job's id when for the same one.
local ARGUMENTS = 21

local total, arrived, waiting = nil, {}, {}

local function queued()
  total = 0
  for _, name in ipairs(redis.call('SMEMBERS', MODELS)) do
    total = total + redis.call('ZCARD', READY_ .. name)
  end
  return total
end

-- Who was accepted waits, with others of the same place at once.
local function later_at(place, id, deadline, predicted)
  waiting[place] = waiting[place] or {deadlines = {}, works = {}}
  local deadlines, works = waiting[place].deadlines, waiting[place].works
  local last = #deadlines
  deadlines[last + 1], deadlines[last + 2] = deadline, id
  works[last + 1], works[last + 2] = id, predicted
end

local function let_wait()
  for place, new in pairs(waiting) do wait_at(place, new.deadlines, new.works) end
  waiting = {}
end

-- Jobs of a lane whose workers never came back must not block everyone for ever.
local function bury_unclaimed(now, unclaimed_ttl, dead_ttl)
  local before = whole(now - unclaimed_ttl)
  for _, name in ipairs(redis.call('SMEMBERS', MODELS)) do
    local ids = redis.call('ZRANGEBYSCORE', READY_ .. name, '-inf', before, 'LIMIT', 0, SWEEP_LIMIT)
    for _, old in ipairs(ids) do
      unqueue(old, name)
      bury(old, 'no worker took it', now, dead_ttl)
    end
  end
end

-- An idempotency key is worth as much as the job it stands for, and no longer.
local function earlier_job(once)
  if once == '' then return nil end
  local before, mark = unpack(redis.call('HMGET', ONCE_ .. once, 'job', 'fingerprint'))
  if before and redis.call('EXISTS', JOB_ .. before) == 1 then return before, mark end
end

local function live_jobs(owner, max_live)
  local live = LIVE_ .. owner
  if redis.call('SCARD', live) < tonumber(max_live) then return 0 end
  for _, old in ipairs(redis.call('SMEMBERS', live)) do
    -- Its hash was removed from outside.
    if redis.call('EXISTS', JOB_ .. old) == 0 then redis.call('SREM', live, old) end
  end
  return redis.call('SCARD', live)
end

local function accept(first)
  local id, payload, model, class, images, predicted, steps = unpack(ARGV, first, first + 6)
  local budget, max_jobs, unclaimed_ttl, dead_ttl = unpack(ARGV, first + 7, first + 10)
  local owner, max_live, once, fingerprint, once_ttl = unpack(ARGV, first + 11, first + 15)
  local quality, floor, met_others, webhook, lane = unpack(ARGV, first + 16, first + 20)

  local known = get(id, 'deadline')
  if known then return tonumber(known) end
  local before, mark = earlier_job(once)
  if before then return mark == fingerprint and before or -3 end
  local limited = owner ~= '' and tonumber(max_live) > 0
  if limited and live_jobs(owner, max_live) >= tonumber(max_live) then return -2 end

  local now = now_ms()
  if (total or queued()) >= tonumber(max_jobs) then
    let_wait()
    bury_unclaimed(now, unclaimed_ttl, dead_ttl)
    if queued() >= tonumber(max_jobs) then return -1 end
  end

  local deadline = whole(now + budget)
  redis.call('HSET', JOB_ .. id, 'payload', payload, 'model', model, 'lane', lane, 'class', class,
    'images', images, 'predicted_ms', predicted, 'quality', quality, 'floor', floor, 'steps', steps,
    'step', 0, 'attempt', 0, 'token', 0, 'created', whole(now), 'deadline', deadline,
    'state', 'queued')
  if owner ~= '' then
    redis.call('HSET', JOB_ .. id, 'owner', owner)
    redis.call('SADD', LIVE_ .. owner, id)
  end
  if webhook ~= '' then redis.call('HSET', JOB_ .. id, 'webhook', webhook) end
  if once ~= '' then
    redis.call('HSET', ONCE_ .. once, 'job', id, 'fingerprint', fingerprint)
    redis.call('PEXPIRE', ONCE_ .. once, once_ttl)
  end
  later_at(place_at(lane, model), id, deadline, predicted)
  tell_of(id, 'queued', 0, 0, steps, predicted)
  total = total + 1
  arrived[lane] = arrived[lane] or {}
  table.insert(arrived[lane], arrival(images, budget, met_others))
  return tonumber(deadline)
end

local accepted = {}
for first = 1, #ARGV, ARGUMENTS do accepted[#accepted + 1] = accept(first) end
let_wait()
for lane, entries in pairs(arrived) do note_arrivals(lane, entries) end
return accepted
