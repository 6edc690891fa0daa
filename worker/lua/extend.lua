-- Prolongs the leases of tasks, of those that still have the owner that is named.
-- KEYS[1] lease
-- ARGV[1] prefix of the tasks' keys  ARGV[2] length of the lease, in seconds
-- ARGV[3...] id and owner of each
-- Returns how many were prolonged.
local lease, prolonged = tonumber(redis.call('TIME')[1]) + tonumber(ARGV[2]), 0
for i = 3, #ARGV, 2 do
  if redis.call('HGET', ARGV[1] .. ARGV[i], 'emq_owner') == ARGV[i + 1] then
    redis.call('ZADD', KEYS[1], 'XX', lease, ARGV[i])
    prolonged = prolonged + 1
  end
end
return prolonged
