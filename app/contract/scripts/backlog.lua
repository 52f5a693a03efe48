-- What a new job of a model would find: queued work before its deadline, and who waits.
-- Reads JOB_, READY_, WORK_, ARRIVALS_.
-- ARGV: model, budget_ms, most rows
-- Returns {now (unix ms), jobs before it, their predicted ms as text, arrivals, row, row, ...}; rows
--         and arrivals as in prelude.lua, most urgent first.
local CHUNK = 1000  -- more arguments at once may overflow the Lua stack
local model, budget, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = now_ms()
local before = '(' .. whole(now + budget)
local ids = redis.call('ZRANGEBYSCORE', READY_ .. model, '-inf', before)

local work = 0
for first = 1, #ids, CHUNK do
  local last = math.min(first + CHUNK - 1, #ids)
  for _, ms in ipairs(redis.call('HMGET', WORK_ .. model, unpack(ids, first, last))) do
    work = work + (tonumber(ms) or 0)
  end
end

local found = {now, #ids, tostring(work), arrivals_of(model)}
for _, row in ipairs((line_of(model, most, now))) do found[#found + 1] = row end
return found
