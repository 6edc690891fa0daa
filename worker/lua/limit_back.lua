-- Gives back permits for one call and one message each that were not used.
-- KEYS[1] state of the endpoint's limits (hash)
-- ARGV[1] rank with which they were taken
-- ARGV[2] how many
-- ARGV[3...] the rates, two values each: name and interval in microseconds
-- Returns nothing. What left the log since is not given back.
local key, rank, most = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local function digits(x) return string.format('%.0f', x) end

for i = 3, #ARGV, 2 do
  local name, interval = ARGV[i], tonumber(ARGV[i + 1])
  local log = redis.call('HMGET', key, name .. ':sum', name .. ':head', name .. ':tail')
  local sum, head, tail = tonumber(log[1] or nil) or 0, tonumber(log[2] or nil) or 0, tonumber(log[3] or nil) or 0
  local back = 0
  for entry = tail - 1, head, -1 do
    local field = name .. ':#' .. digits(entry)
    local time, n = string.match(redis.call('HGET', key, field) or '', '^(%d+) (%d+)$')
    if time then
      local some = math.min(tonumber(n), most - back)
      redis.call('HSET', key, field, time .. ' ' .. digits(n - some))
      back = back + some
    end
    if back == most then break end
  end
  if back > 0 then
    redis.call('HSET', key, name .. ':sum', digits(sum - back))
    for r = 1, rank do
      local field = name .. ':' .. digits(r)
      local due = tonumber(redis.call('HGET', key, field) or nil) or 0
      redis.call('HSET', key, field, digits(math.max(0, due - back * interval)))
    end
  end
end
