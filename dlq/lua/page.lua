-- Reads the next piece of several sets of entries, newest first, and those with
-- the same time in descending order of their IDs (by bytes, as Redis keeps them).
-- KEYS[...] sets of entries (sorted sets)
-- ARGV[1] time after which to begin in that order, ms
-- ARGV[2] ID after which to begin among those with that time; "" after all of them
-- ARGV[3] "1": begin with this ID, not after it
-- ARGV[4] lowest time wanted, ms, or "-inf"
-- ARGV[5] how many at most of each set
-- Returns for each set {"1" when it holds more, ID, time, ID, time, ...}.
-- The loops are over the keys, over the halvings of one set's run of equal
-- times, over the bytes of an ID, and over what is returned.
local from, id, limit = ARGV[1], ARGV[2], tonumber(ARGV[5])

-- wanted compares by bytes; Lua's own < follows the server's locale.
local function wanted(member)
  for i = 1, math.min(#member, #id) do
    local a, b = string.byte(member, i), string.byte(id, i)
    if a ~= b then
      return a < b
    end
  end
  if #member == #id then
    return ARGV[3] == '1'
  end
  return #member < #id
end

local answer = {}
for i, key in ipairs(KEYS) do
  local start = redis.call('ZCOUNT', key, '(' .. from, '+inf')
  local low, high = 0, redis.call('ZCOUNT', key, from, from)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if wanted(redis.call('ZREVRANGE', key, start + middle, start + middle)[1]) then
      high = middle
    else
      low = middle + 1
    end
  end
  start = start + low
  local stop = redis.call('ZCOUNT', key, ARGV[4], '+inf')
  local piece = { stop > start + limit and '1' or '' }
  if stop > start then
    local found = redis.call('ZREVRANGE', key, start, math.min(start + limit, stop) - 1, 'WITHSCORES')
    for j = 1, #found do
      piece[j + 1] = found[j]
    end
  end
  answer[i] = piece
end
return answer
