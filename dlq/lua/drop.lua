-- Forgets a cause that has no entries.
-- KEYS[1] causes (set)
-- KEYS[2] cause (hash)
-- ARGV[1] cause ID
-- ARGV[2...] the states, which are the fields that count its entries
-- Returns 1 when it was forgotten, 0 when it has entries.
for _, n in ipairs(redis.call('HMGET', KEYS[2], unpack(ARGV, 2))) do
  if tonumber(n or 0) > 0 then
    return 0
  end
end
redis.call('DEL', KEYS[2])
redis.call('SREM', KEYS[1], ARGV[1])
return 1
