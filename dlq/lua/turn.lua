-- Puts an operation into another state, if it is in one of some.
-- KEYS[1] operation (hash)
-- KEYS[2] operations that have work left (set)
-- KEYS[3] its members (list)
-- KEYS[4] audit (stream)
-- ARGV[1] ID
-- ARGV[2] new state
-- ARGV[3] now, ms
-- ARGV[4] line of the audit; "" for none
-- ARGV[5] how many lines the audit keeps, about
-- ARGV[6...] states in one of which it must be
-- Returns the state in which it was; "" when there is no such operation.
local was = redis.call('HGET', KEYS[1], 'state')
if not was then
  return ''
end
local allowed = false
for i = 6, #ARGV do
  allowed = allowed or was == ARGV[i]
end
if not allowed then
  return was
end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
if ARGV[2] == 'running' or ARGV[2] == 'waiting' then
  redis.call('SADD', KEYS[2], ARGV[1])
else
  redis.call('SREM', KEYS[2], ARGV[1])
  redis.call('UNLINK', KEYS[3])
  redis.call('HSET', KEYS[1], 'ended', ARGV[3])
end
if ARGV[4] ~= '' then
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[5], '*', 'line', ARGV[4])
end
return was
