-- Gives back a permit for one call and one message that was not used.
-- KEYS[1] state of the endpoint's limits (hash)
-- ARGV[1] rank with which it was taken
-- ARGV[2...] the rates, two values each: name and interval in microseconds
-- Returns nothing. What left the log since is not given back.
local key = KEYS[1]
for i = 2, #ARGV, 2 do
  local name, interval = ARGV[i], tonumber(ARGV[i + 1])
  local log = redis.call('HMGET', key, name .. ':sum', name .. ':head', name .. ':tail')
  local sum, head, tail = tonumber(log[1] or nil) or 0, tonumber(log[2] or nil) or 0, tonumber(log[3] or nil) or 0
  local last = name .. ':#' .. string.format('%.0f', tail - 1)
  local time, n = string.match(redis.call('HGET', key, last) or '', '^(%d+) (%d+)$')
  if head < tail and time and tonumber(n) > 0 then
    redis.call('HSET', key, last, time .. ' ' .. string.format('%.0f', n - 1), name .. ':sum', string.format('%.0f', sum - 1))
    for rank = 1, tonumber(ARGV[1]) do
      local field = name .. ':' .. string.format('%.0f', rank)
      local due = tonumber(redis.call('HGET', key, field) or nil) or 0
      redis.call('HSET', key, field, string.format('%.0f', math.max(0, due - interval)))
    end
  end
end
