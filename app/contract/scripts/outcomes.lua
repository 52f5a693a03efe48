-- How jobs ended, of those that have. Reads JOB_, IMAGES_.
-- ARGV: id, 1 to return its pictures as well (else 0), id, 1 or 0, ...
-- Returns for each {state, outcome, picture, ...}; nothing inside while there is no outcome.
local ended = {}
for i = 1, #ARGV, 2 do
  local state, outcome = get(ARGV[i], 'state', 'outcome')
  local found = {}
  if outcome then
    local pictures = ARGV[i + 1] == '1' and redis.call('LRANGE', IMAGES_ .. ARGV[i], 0, -1) or {}
    found = {state, outcome, unpack(pictures)}
  end
  ended[#ended + 1] = found
end
return ended
