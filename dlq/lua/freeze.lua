-- Adds members to an operation, once, however often it is sent.
-- KEYS[1] its members (list)
-- KEYS[2] operation (hash)
-- ARGV[1] how many members it has before
-- ARGV[2...] members
-- Returns how many it has then.
if redis.call('LLEN', KEYS[1]) == tonumber(ARGV[1]) then
  redis.call('RPUSH', KEYS[1], unpack(ARGV, 2))
  redis.call('HSET', KEYS[2], 'members', ARGV[1] + #ARGV - 1)
end
return redis.call('LLEN', KEYS[1])
