-- Say what became of a delivery. Touches JOB_, HOOKS.
-- ARGV: id, token, ms until the next try (0: there is none), result_ttl_ms
-- Returns 1; 0 when another gateway has taken it since.
local id, token, next_ms, result_ttl = unpack(ARGV)
local current, state = get(id, 'hook_token', 'state')
go_on_when_full()
if current ~= token or not redis.call('ZSCORE', HOOKS, id) then return 0 end
if tonumber(next_ms) > 0 then
  redis.call('ZADD', HOOKS, whole(now_ms() + next_ms), id)
  return 1
end
redis.call('ZREM', HOOKS, id)
-- A dead letter stays as long as any other.
if state ~= 'dead' then redis.call('PEXPIRE', JOB_ .. id, result_ttl) end
return 1
