-- Extend leases, and record finished steps if given. Touches JOB_, LEASES.
-- ARGV: lease_ms, step (empty: only renew), id, token, id, token, ...
-- Returns the ids that are still held and not cancelled.
local lease_ends = whole(now_ms() + ARGV[1])
local step = ARGV[2]
local wanted = {}

local function extend(id)
  redis.call('ZADD', LEASES, lease_ends, id)
  if step ~= '' and step ~= get(id, 'step') then
    redis.call('HSET', JOB_ .. id, 'step', step)
    tell(id, 'step')
  end
  if not get(id, 'cancel') then wanted[#wanted + 1] = id end
end

go_on_when_full()
for i = 3, #ARGV, 2 do
  if held(ARGV[i], ARGV[i + 1]) then extend(ARGV[i]) end
end
return wanted
