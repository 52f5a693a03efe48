-- Queued work of a model that stands before a deadline. Reads READY_, WORK_.
-- ARGV: model, budget_ms
-- Returns {jobs, their predicted ms as text}.
local CHUNK = 1000  -- more arguments at once may overflow the Lua stack
local model, budget = ARGV[1], ARGV[2]
local before = '(' .. whole(now_ms() + budget)
local ids = redis.call('ZRANGEBYSCORE', READY_ .. model, '-inf', before)

local work = 0
for first = 1, #ids, CHUNK do
  local last = math.min(first + CHUNK - 1, #ids)
  for _, ms in ipairs(redis.call('HMGET', WORK_ .. model, unpack(ids, first, last))) do
    work = work + (tonumber(ms) or 0)
  end
end
return {#ids, tostring(work)}
