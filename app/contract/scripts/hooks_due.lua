-- Take webhooks that are due, each for one delivery. Touches JOB_, HOOKS.
-- ARGV: how many at most, ms until another gateway may take one whose delivery is not settled
-- Returns {id, url, token, tries} for each; tries counts this one.
local now = now_ms()
local due = {}
go_on_when_full()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', HOOKS, '-inf', whole(now), 'LIMIT', 0, ARGV[1])) do
  local url, outcome = get(id, 'webhook', 'outcome')
  if url and outcome then
    redis.call('ZADD', HOOKS, whole(now + ARGV[2]), id)
    local token = redis.call('HINCRBY', JOB_ .. id, 'hook_token', 1)
    due[#due + 1] = {id, url, token, redis.call('HINCRBY', JOB_ .. id, 'hook_tries', 1)}
  else
    redis.call('ZREM', HOOKS, id)  -- forgotten, or requeued: it will end again
  end
end
return due
