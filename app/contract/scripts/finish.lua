-- Store the results and pictures of claims. Touches JOB_, IMAGES_, LEASES, OVER.
-- ARGV: result_ttl_ms, then for each claim: id, token, result, how many pictures, picture, ...
-- Returns for each claim 1, also when it had been stored before; 0 when its lease was lost.
local ttl = ARGV[1]

local function keep(id, first, last)
  local pictures = IMAGES_ .. id
  for i = first, last do
    -- Pictures that something left there would come before these.
    if redis.call('RPUSH', pictures, ARGV[i]) ~= i - first + 1 then
      redis.call('DEL', pictures)
      return keep(id, first, last)
    end
  end
  redis.call('PEXPIRE', pictures, ttl)
end

local function finish(id, token, result, first, last)
  local state, current, cancel, attempt, steps, predicted, owner, webhook = get(id,
    'state', 'token', 'cancel', 'attempt', 'steps', 'predicted_ms', 'owner', 'webhook')
  if current ~= token then return 0 end
  if state == 'done' then return 1 end
  if state ~= 'running' then return 0 end
  if cancel then
    cancelled(id, ttl)
    return 1
  end
  keep(id, first, last)
  settle(id, 'done', result, ttl, 'step', steps)
  let_go_of(id, 'done', ttl, ttl, attempt, steps, steps, predicted, owner, webhook)
  return 1
end

go_on_when_full()
local stored, at = {}, 2
while at < #ARGV do
  local first, last = at + 4, at + 3 + ARGV[at + 3]
  stored[#stored + 1] = finish(ARGV[at], ARGV[at + 1], ARGV[at + 2], first, last)
  at = last + 1
end
return stored
