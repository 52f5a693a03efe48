-- End a claim that made no picture. Touches JOB_, READY_, WORK_, MODELS, LEASES, DEAD,
-- BELL_, OVER.
-- ARGV: id, token, how ("retry", "end" or "bury"), state to end in, failure, detail,
--       max_attempts, result_ttl_ms, dead_ttl_ms
-- "retry" gives the job another attempt if it has one left; "bury" makes it a dead letter at once.
-- Returns 1, also when this claim had done so before; 0 when the lease was lost.
local id, token, how, state, outcome, detail = unpack(ARGV, 1, 6)
local bounds = limits(7)
local before = {retry = {'queued', 'dead', 'cancelled'}, ['end'] = {state}, bury = {'dead'}}

go_on_when_full()
for _, reached in ipairs(before[how]) do
  if repeated(id, token, reached) then return 1 end
end
if not held(id, token) then return 0 end

if how == 'retry' then
  release(id, detail, bounds, now_ms())
elseif how == 'bury' then
  bury(id, detail, now_ms(), bounds.dead_ttl_ms)
else
  conclude(id, state, outcome, bounds.result_ttl_ms)
end
return 1
