-- Removes a cause that has no entries.
-- KEYS[1] causes (set)
-- KEYS[2] cause (hash)
-- KEYS[3...] entries of the cause, one key for each state (sorted sets)
-- ARGV[1] cause ID
-- Returns 1 when it was removed, 0 when it has entries.
for i = 3, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    return 0
  end
end
redis.call('DEL', KEYS[2])
redis.call('SREM', KEYS[1], ARGV[1])
return 1
