-- The cards of all live workers. Reads CARD_, WORKERS.
-- ARGV: none
-- Returns the cards.
local cards = {}
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', WORKERS, whole(now_ms()), '+inf')) do
  local card = redis.call('GET', CARD_ .. worker)
  if card then cards[#cards + 1] = card end
end
return cards
