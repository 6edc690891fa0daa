-- Notes that some members of an operation were worked on, unless somebody else did.
-- KEYS[1] operation (hash)
-- ARGV[1] how many had been worked on before
-- ARGV[2] how many were worked on now
-- ARGV[3] how many of these were refused
-- ARGV[4] name of the worker
-- ARGV[5] why one of these was refused; "" when none was
-- Returns 1 when it is noted, 0 when it had been.
if redis.call('HGET', KEYS[1], 'worked') ~= ARGV[1] and not (ARGV[1] == '0' and redis.call('HEXISTS', KEYS[1], 'worked') == 0) then
  return 0
end
redis.call('HINCRBY', KEYS[1], 'worked', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'refused', ARGV[3])
redis.call('HSET', KEYS[1], 'worker', ARGV[4])
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], 'refusal', ARGV[5])
end
return 1
