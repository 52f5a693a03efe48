-- Queue a dead letter again with its whole budget and all attempts. Touches JOB_, READY_,
-- WORK_, MODELS, DEAD, BELL_.
-- ARGV: id
-- Returns 1; 0 when it is no dead letter.
local id = ARGV[1]
local state, created, deadline = get(id, 'state', 'created', 'deadline')
if state ~= 'dead' then return 0 end

local now = now_ms()
redis.call('ZREM', DEAD, id)
redis.call('PERSIST', JOB_ .. id)
redis.call('HDEL', JOB_ .. id, 'outcome', 'cancel')
redis.call('HSET', JOB_ .. id, 'attempt', 0, 'step', 0, 'created', whole(now),
  'deadline', whole(now + deadline - created))
redis.call('HINCRBY', JOB_ .. id, 'token', 1)
queue(id)
return 1
