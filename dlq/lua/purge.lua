-- Removes an ended entry, if it still is as it was read, and frees its ID.
-- KEYS[1] entry (string)
-- KEYS[2] entries of the app in its state (sorted set)
-- KEYS[3] entries of its cause in its state (sorted set)
-- KEYS[4] ended entries (sorted set)
-- KEYS[5] claim on the ID (string)
-- ARGV[1] ID
-- ARGV[2] head as it was read
-- Returns 1 when the entry was removed, 0 when it is not as it was read.
if string.match(redis.call('GETRANGE', KEYS[1], 0, 255), '^[^\n]*') ~= ARGV[2] then
  return 0
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('DEL', KEYS[1], KEYS[5])
return 1
