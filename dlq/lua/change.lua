-- Creates an entry or moves it to another state, if it still is as its author read it.
-- KEYS[1] entry (string)
-- KEYS[2] entries of the app in the old state (sorted set)
-- KEYS[3] entries of the old cause in the old state (sorted set)
-- KEYS[4] entries of the app in the new state (sorted set)
-- KEYS[5] entries of the new cause in the new state (sorted set)
-- KEYS[6] unconfirmed resends (sorted set)
-- KEYS[7] ended entries (sorted set)
-- KEYS[8] causes (set)
-- KEYS[9] new cause (hash)
-- ARGV[1] ID
-- ARGV[2] head as it was read; "" when there was no entry
-- ARGV[3] new head
-- ARGV[4] new body, all that follows the head
-- ARGV[5] time of the last failure, ms
-- ARGV[6] now, ms
-- ARGV[7] resend that ends, as an ID in the queue; "" for none
-- ARGV[8] resend that begins, as an ID in the queue; "" for none
-- ARGV[9] "1" when the new state is an end
-- ARGV[10] ID of the new cause
-- ARGV[11...] fields and values of the new cause; none when it is the old one
-- Returns 1 when the change is made, by this call or by an earlier one whose
-- answer was lost, 0 when the entry is not as it was read.
local head = string.match(redis.call('GETRANGE', KEYS[1], 0, 255), '^[^\n]*')
if head == ARGV[3] then
  return 1
end
if head ~= ARGV[2] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[3] .. '\n' .. ARGV[4])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[4], ARGV[5], ARGV[1])
redis.call('ZADD', KEYS[5], ARGV[5], ARGV[1])
if ARGV[7] ~= '' then
  redis.call('ZREM', KEYS[6], ARGV[7])
end
if ARGV[8] ~= '' then
  redis.call('ZADD', KEYS[6], ARGV[6], ARGV[8])
end
if ARGV[9] == '1' then
  redis.call('ZADD', KEYS[7], ARGV[6], ARGV[1])
else
  redis.call('ZREM', KEYS[7], ARGV[1])
end
if #ARGV > 10 then
  redis.call('SADD', KEYS[8], ARGV[10])
  redis.call('HSET', KEYS[9], unpack(ARGV, 11))
  local first = tonumber(redis.call('HGET', KEYS[9], 'first'))
  if not first or first > tonumber(ARGV[5]) then
    redis.call('HSET', KEYS[9], 'first', ARGV[5])
  end
  local last = tonumber(redis.call('HGET', KEYS[9], 'last'))
  if not last or last < tonumber(ARGV[5]) then
    redis.call('HSET', KEYS[9], 'last', ARGV[5])
  end
end
return 1
