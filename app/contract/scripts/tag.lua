-- Keep a job under a tag, which lists the latest few. Touches the tag's key alone.
-- ARGV: the tag's key, job id, how many are listed, ttl_ms
-- Returns 1.
local key, most = ARGV[1], tonumber(ARGV[3])
redis.call('ZADD', key, whole(now_ms()), ARGV[2])
redis.call('ZREMRANGEBYRANK', key, 0, -most - 1)
redis.call('PEXPIRE', key, ARGV[4])
return 1
