-- Stands before every script: names for KEYS and the moves the scripts share.
--
-- KEYS are the same for all scripts; app/contract/keys.py documents each. The names ending in "_"
-- are the beginnings of key families and carry the same hash tag as the rest.
-- Laws of these scripts:
-- 1. Time is the server's TIME, in milliseconds.
-- 2. A job is in READY_ and WORK_ exactly while queued, in LEASES exactly while running: at its
--    place, which is its lane (`<width>x<height>:<model>`), or its model while a worker lives that
--    knows no lanes (see `place_at`).
-- 3. A write for a claim happens only while the job is running under the claim's token.
-- 4. An outcome is written once and announced in the same script.
-- 5. A job that has an owner is in LIVE_ exactly while queued or running.
-- 6. A job that has a webhook is in HOOKS from its end until that was told or is given up.
-- 7. Whoever changes a job's state or step also tells it: EVENTS_ and TOLD.
-- Whatever moves a job may touch what 5 to 7 name; the scripts' own lists leave it out.
local JOB_, IMAGES_, READY_, ARRIVALS_, CREW_, WORK_, MODELS, LEASES, DEAD, BELL_, CARD_, WORKERS,
  BOOK_, OVER, EVENTS_, TOLD, LIVE_, ONCE_, RATE_, PREVIEWS_, HOOKS = unpack(KEYS)

local MESSAGE_VERSION = 1
local BELL_LENGTH = 16
local BELL_TTL_MS = 60000
local SWEEP_LIMIT = 100
local EVENTS_LENGTH = 1024
local EVENTS_TTL_MS = 3600000
local ARRIVALS_LENGTH = 32
local ARRIVALS_TTL_MS = 60000
local HOOK_TTL_MS = 12 * 3600000

local moment  -- no time passes while a script runs

local function now_ms()
  if not moment then
    local time = redis.call('TIME')
    moment = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return moment
end

-- Numbers become text here and not in Redis, whose rules differ between versions.
local function whole(number)
  return string.format('%.0f', number)
end

-- When memory is full, a script may write only if its first write can take no memory. Scripts that
-- bring jobs to their end begin with this, so that a full store drains; `submit` does not.
local function go_on_when_full()
  redis.call('ZREM', LEASES, '')
end

local function get(id, ...)
  return unpack(redis.call('HMGET', JOB_ .. id, ...))
end

local function failure(id, reason, detail)
  return cjson.encode({version = MESSAGE_VERSION, job_id = id, reason = reason, detail = detail})
end

-- Adds what just happened to the job's stream, and wakes those who follow it.
local function tell_of(id, event, attempt, step, steps, predicted, ttl_ms)
  redis.call('XADD', EVENTS_ .. id, 'MAXLEN', EVENTS_LENGTH, '*', 'event', event,
    'attempt', attempt, 'step', step, 'steps', steps, 'predicted_ms', predicted)
  redis.call('PEXPIRE', EVENTS_ .. id, ttl_ms or EVENTS_TTL_MS)
  redis.call('PUBLISH', TOLD, id)
end

local function tell(id, event, ttl_ms)
  local attempt, step, steps, predicted = get(id, 'attempt', 'step', 'steps', 'predicted_ms')
  tell_of(id, event, attempt, step, steps, predicted, ttl_ms)
end

-- The lane of a job, nothing for what is no job. One accepted before there were lanes tells its
-- size by its payload.
local function lane_of(id)
  local lane, model = get(id, 'lane', 'model')
  if lane or not model then return lane end
  local readable, job = pcall(cjson.decode, get(id, 'payload'))
  local sized = readable and type(job) == 'table' and job.width and job.height
  return sized and string.format('%dx%d:%s', job.width, job.height, model)
end

-- Where jobs of a lane may wait.
local function places(lane)
  return {lane, lane:match('^%d+x%d+:(.+)$')}
end

-- Workers of the version before look for jobs of their model: while any lives, jobs wait there.
local unaware = {}

local function place_at(lane, model)
  if unaware[model] == nil then
    unaware[model] = redis.call('ZCOUNT', CREW_ .. model, whole(now_ms()), '+inf') > 0
  end
  return (lane and not unaware[model]) and lane or model
end

local function ring(place, times)
  local bell, tokens = BELL_ .. place, {}
  for i = 1, math.min(times, BELL_LENGTH - redis.call('LLEN', bell)) do tokens[i] = '1' end
  if #tokens == 0 then return end
  redis.call('LPUSH', bell, unpack(tokens))
  redis.call('PEXPIRE', bell, BELL_TTL_MS)
end

-- Some wait from now on: {deadline, id, deadline, id, ...} and {id, predicted ms, ...}.
local function wait_at(place, deadlines, works)
  redis.call('ZADD', READY_ .. place, unpack(deadlines))
  redis.call('HSET', WORK_ .. place, unpack(works))
  redis.call('SADD', MODELS, place)
  ring(place, #deadlines / 2)
end

local function queue(id)
  local model, deadline, predicted, owner = get(id, 'model', 'deadline', 'predicted_ms', 'owner')
  local place = place_at(lane_of(id), model)
  redis.call('HSET', JOB_ .. id, 'state', 'queued')
  redis.call('ZREM', LEASES, id)
  wait_at(place, {deadline, id}, {id, predicted})
  if owner then redis.call('SADD', LIVE_ .. owner, id) end
  tell(id, 'queued')
end

-- Of jobs in a lane, nobody waits any more.
local function unqueue_all(ids, lane)
  for _, place in ipairs(places(lane)) do
    if redis.call('ZREM', READY_ .. place, unpack(ids)) > 0 then
      redis.call('HDEL', WORK_ .. place, unpack(ids))
      if redis.call('EXISTS', READY_ .. place) == 0 then redis.call('SREM', MODELS, place) end
    end
  end
end

local function unqueue(id, lane)
  unqueue_all({id}, lane)
end

-- The end of a job with a webhook waits in HOOKS until a gateway has told it.
local function call_hook(id, ttl_ms)
  redis.call('HSET', JOB_ .. id, 'hook_tries', 0)
  redis.call('HINCRBY', JOB_ .. id, 'hook_token', 1)
  redis.call('PEXPIRE', JOB_ .. id, whole(math.max(ttl_ms, HOOK_TTL_MS)))
  redis.call('ZADD', HOOKS, whole(now_ms()), id)
  redis.call('PEXPIRE', HOOKS, HOOK_TTL_MS)
end

-- What every end of a job has in common, given its attempt, step, steps, predicted ms, owner and
-- webhook.
local function let_go_of(id, event, ttl_ms, event_ttl_ms, attempt, step, steps, predicted, owner, webhook)
  redis.call('ZREM', LEASES, id)
  if owner then redis.call('SREM', LIVE_ .. owner, id) end
  if webhook then call_hook(id, tonumber(ttl_ms)) end
  tell_of(id, event, attempt, step, steps, predicted, event_ttl_ms)
  redis.call('PUBLISH', OVER, id)
end

local function let_go(id, event, ttl_ms, event_ttl_ms)
  let_go_of(id, event, ttl_ms, event_ttl_ms,
    get(id, 'attempt', 'step', 'steps', 'predicted_ms', 'owner', 'webhook'))
end

local function settle(id, state, outcome, ttl_ms, ...)
  redis.call('HSET', JOB_ .. id, 'state', state, 'outcome', outcome, ...)
  redis.call('HDEL', JOB_ .. id, 'payload', 'cancel')
  redis.call('PEXPIRE', JOB_ .. id, ttl_ms)
end

local function conclude(id, state, outcome, ttl_ms)
  settle(id, state, outcome, ttl_ms)
  let_go(id, state, ttl_ms, ttl_ms)
end

local function cancelled(id, result_ttl_ms)
  conclude(id, 'cancelled', failure(id, 'cancelled', 'the job was cancelled'), result_ttl_ms)
end

-- A job as a row {id, class, left_ms, images, quality, floor, predicted_ms}, nothing when it does
-- not wait. One that was tried before is of a class of its own: what kills its worker must not use
-- up the attempts of others.
local function row_of(id, now)
  local state, class, deadline, images, quality, floor, predicted, attempt = get(id,
    'state', 'class', 'deadline', 'images', 'quality', 'floor', 'predicted_ms', 'attempt')
  if state ~= 'queued' then return nil end
  local own = tonumber(attempt) > 0 and id or class
  return {id, own, deadline - now, tonumber(images), quality, floor, predicted}
end

local function more_urgent(one, other)
  if one[3] == other[3] then return one[1] < other[1] end
  return one[3] < other[3]
end

-- The most urgent `most` jobs of a lane as rows, and ids that wait no longer: their hash was removed
-- from outside, or a script that knew no lanes moved them on.
local function line_of(lane, most, now)
  local rows, lost = {}, {}
  local function look(id)
    local row = row_of(id, now)
    if row then rows[#rows + 1] = row else lost[#lost + 1] = id end
  end
  local own, whole_model = unpack(places(lane))
  for _, id in ipairs(redis.call('ZRANGE', READY_ .. own, 0, most - 1)) do look(id) end
  local among = whole_model and redis.call('ZRANGE', READY_ .. whole_model, 0, -1) or {}
  for _, id in ipairs(among) do
    if lane_of(id) == lane then look(id) end
  end
  if #among > 0 then table.sort(rows, more_urgent) end
  while #rows > most do table.remove(rows) end
  return rows, lost
end

-- Remembers requests, the latest last.
local function note_arrivals(lane, entries)
  local arrivals = ARRIVALS_ .. lane
  redis.call('LPUSH', arrivals, unpack(entries))
  redis.call('LTRIM', arrivals, 0, ARRIVALS_LENGTH - 1)
  redis.call('PEXPIRE', arrivals, ARRIVALS_TTL_MS)
end

-- A request as it is remembered; `met_others` is '1' when it found no worker free.
local function arrival(images, budget_ms, met_others)
  return table.concat({whole(now_ms()), images, budget_ms, met_others}, ':')
end

-- The latest requests for a lane, each as `arrival` wrote it.
local function arrivals_of(lane)
  return redis.call('LRANGE', ARRIVALS_ .. lane, 0, -1)
end

local function forget_dead(now, dead_ttl_ms)
  redis.call('ZREMRANGEBYSCORE', DEAD, '-inf', whole(now - dead_ttl_ms))
end

-- A dead letter keeps its payload, so that it can be requeued.
local function bury(id, detail, now, dead_ttl_ms)
  redis.call('HSET', JOB_ .. id, 'state', 'dead', 'outcome', failure(id, 'dead', detail))
  redis.call('PEXPIRE', JOB_ .. id, dead_ttl_ms)
  redis.call('ZADD', DEAD, whole(now), id)
  redis.call('PEXPIRE', DEAD, dead_ttl_ms)
  forget_dead(now, dead_ttl_ms)
  let_go(id, 'dead', dead_ttl_ms)
end

-- What becomes of a running job whose attempt ended without an outcome.
local function release(id, why, bounds, now)
  local cancel, attempt = get(id, 'cancel', 'attempt')
  if cancel then
    cancelled(id, bounds.result_ttl_ms)
  elseif tonumber(attempt) >= bounds.max_attempts then
    bury(id, 'given up after ' .. attempt .. ' attempts: ' .. why, now, bounds.dead_ttl_ms)
  else
    queue(id)
  end
end

local function limits(first)
  return {
    max_attempts = tonumber(ARGV[first]),
    result_ttl_ms = tonumber(ARGV[first + 1]),
    dead_ttl_ms = tonumber(ARGV[first + 2]),
  }
end

-- Raising the token makes every later write of the worker that lost the lease stale.
local function expire_lease(id, bounds, now)
  if redis.call('HINCRBY', JOB_ .. id, 'token', 1) == 1 then
    redis.call('DEL', JOB_ .. id)  -- not a job: its hash was removed from outside
    redis.call('ZREM', LEASES, id)
    return
  end
  release(id, 'its worker went silent', bounds, now)
end

local function held(id, token)
  local state, current = get(id, 'state', 'token')
  return state == 'running' and current == token
end

-- Whether this claim itself already brought the job into `state`: its reply got lost on the way.
local function repeated(id, token, state)
  local now_in, current = get(id, 'state', 'token')
  return now_in == state and current == token
end
