-- Announce a worker for one TTL and keep its plan book alive. Touches CARD_, WORKERS, CREW_, BOOK_.
-- ARGV: worker, card, card_ttl_ms, digest of the book, book_ttl_ms, lane
-- Returns 1; 0, with nothing announced, when the worker has to store the book first: whoever sees
-- a card finds its book.
local worker, card, card_ttl, digest, book_ttl, lane = unpack(ARGV)
go_on_when_full()
if redis.call('PEXPIRE', BOOK_ .. digest, book_ttl) == 0 then return 0 end
local now = now_ms()
redis.call('SET', CARD_ .. worker, card, 'PX', card_ttl)
for _, alive in ipairs({WORKERS, CREW_ .. lane}) do
  redis.call('ZREMRANGEBYSCORE', alive, '-inf', whole(now))
  redis.call('ZADD', alive, whole(now + card_ttl), worker)
  redis.call('PEXPIRE', alive, card_ttl * 10)
end
return 1
