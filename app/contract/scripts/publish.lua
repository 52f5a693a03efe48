-- Announce a worker for one TTL and keep its plan book alive. Touches CARD_, WORKERS, BOOK_.
-- ARGV: worker, card, card_ttl_ms, digest of the book, book_ttl_ms
-- Returns 1 when the book is stored; 0 when the worker has to store it.
local worker, card, card_ttl, digest, book_ttl = unpack(ARGV)
go_on_when_full()
local now = now_ms()
redis.call('SET', CARD_ .. worker, card, 'PX', card_ttl)
redis.call('ZREMRANGEBYSCORE', WORKERS, '-inf', whole(now))
redis.call('ZADD', WORKERS, whole(now + card_ttl), worker)
redis.call('PEXPIRE', WORKERS, card_ttl * 10)
return redis.call('PEXPIRE', BOOK_ .. digest, book_ttl)
