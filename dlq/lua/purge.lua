-- Removes an ended entry, if it still is as it was read, and frees its ID.
-- KEYS[1] entry (string)
-- KEYS[2] entries of the app in its state (sorted set)
-- KEYS[3] entries of its cause in its state (sorted set)
-- KEYS[4] ended entries (sorted set)
-- KEYS[5] claim on the ID (string)
-- KEYS[6] its cause (hash)
-- KEYS[7...] buckets of the index of subjects that list it (sorted sets)
-- ARGV[1] ID
-- ARGV[2] head as it was read
-- ARGV[3] its state
-- Returns 1 when the entry was removed, 0 when it is not as it was read.
if string.match(redis.call('GETRANGE', KEYS[1], 0, 255), '^[^\n]*') ~= ARGV[2] then
  return 0
end
for i = 2, 4 do
  redis.call('ZREM', KEYS[i], ARGV[1])
end
for i = 7, #KEYS do
  redis.call('ZREM', KEYS[i], ARGV[1])
end
redis.call('HINCRBY', KEYS[6], ARGV[3], -1)
redis.call('DEL', KEYS[1], KEYS[5])
return 1
