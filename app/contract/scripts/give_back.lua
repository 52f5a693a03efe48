-- Return a running job to the queue without counting the attempt. Touches JOB_, READY_,
-- WORK_, MODELS, LEASES, BELL_, OVER.
-- ARGV: id, token, result_ttl_ms
-- Returns 1, also when this claim had done so before; 0 when the lease was lost.
local id, token, result_ttl = unpack(ARGV)
go_on_when_full()
if repeated(id, token, 'queued') or repeated(id, token, 'cancelled') then return 1 end
if not held(id, token) then return 0 end

redis.call('HINCRBY', JOB_ .. id, 'attempt', -1)
if get(id, 'cancel') then cancelled(id, result_ttl) else queue(id) end
return 1
