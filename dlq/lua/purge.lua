-- Removes an ended entry, if it still is as it was read, and frees its ID.
-- KEYS[1] entry (string)
-- KEYS[2] entries of its cause in its state (sorted set)
-- KEYS[3] ended entries (sorted set)
-- KEYS[4] claim on the ID (string)
-- KEYS[5] its cause (hash)
-- KEYS[6...] buckets of the index of subjects that list it (sorted sets)
-- ARGV[1] ID
-- ARGV[2] head as it was read
-- ARGV[3] its state
-- Returns 1 when the entry was removed, 0 when it is not as it was read.
if string.match(redis.call('GETRANGE', KEYS[1], 0, 255), '^[^\n]*') ~= ARGV[2] then
  return 0
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
for i = 6, #KEYS do
  redis.call('ZREM', KEYS[i], ARGV[1])
end
redis.call('HINCRBY', KEYS[5], ARGV[3], -1)
redis.call('DEL', KEYS[1], KEYS[4])
return 1
