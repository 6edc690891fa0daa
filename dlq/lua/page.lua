-- Merges the next piece of several sets of entries, newest first, and those with
-- the same time in descending order of their IDs (by bytes, as Redis keeps them).
-- KEYS[...] sets of entries (sorted sets)
-- ARGV[1] time after which to begin in that order, ms; "" for the head
-- ARGV[2] ID after which to begin among those with that time; "" after all of them
-- ARGV[3] "1": begin with this ID, not after it
-- ARGV[4] lowest time wanted, ms, or "-inf"
-- ARGV[5] how many at most
-- Returns {"1" when there are more, ID, time, ID, time, ...}.
-- The loops are over the keys, over the halvings of one set's run of equal times,
-- over the bytes of an ID, and over what is returned times the logarithm of the keys.
local from, first, limit = ARGV[1], ARGV[2], tonumber(ARGV[5])

-- order compares by bytes: 1 when a comes before b, that is, is greater; 0 when
-- they are equal. Lua's own < follows the server's locale.
local function order(a, b)
  if a == b then
    return 0
  end
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x > y and 1 or -1
    end
  end
  return #a > #b and 1 or -1
end

-- A source is a set that has something left: where it stands, where it ends, and
-- the piece of it that was read.
local function read(s)
  local last = math.min(s.next + s.size, s.stop) - 1
  s.piece = redis.call('ZREVRANGE', s.key, s.next, last, 'WITHSCORES')
  s.next, s.at, s.size = last + 1, 1, s.size * 2
  s.time = tonumber(s.piece[2])
end

local function before(s, t)
  if s.time ~= t.time then
    return s.time > t.time
  end
  return order(s.piece[s.at], t.piece[t.at]) > 0
end

local heap = {} -- of sources; the first one has what comes next

local function sink(i)
  while true do
    local least = i
    for child = 2 * i, 2 * i + 1 do
      if heap[child] and before(heap[child], heap[least]) then
        least = child
      end
    end
    if least == i then
      return
    end
    heap[i], heap[least] = heap[least], heap[i]
    i = least
  end
end

for _, key in ipairs(KEYS) do
  local stop
  if ARGV[4] == '-inf' then
    stop = redis.call('ZCARD', key)
  else
    stop = redis.call('ZCOUNT', key, ARGV[4], '+inf')
  end
  if stop > 0 then
    local start = 0
    if from ~= '' then
      start = redis.call('ZCOUNT', key, '(' .. from, '+inf')
    end
    if first ~= '' and start < stop then
      local low, high = 0, redis.call('ZCOUNT', key, from, from)
      while low < high do
        local middle = math.floor((low + high) / 2)
        local o = order(first, redis.call('ZREVRANGE', key, start + middle, start + middle)[1])
        if o > 0 or o == 0 and ARGV[3] == '1' then
          high = middle
        else
          low = middle + 1
        end
      end
      start = start + low
    elseif first == '' and from ~= '' then
      start = start + redis.call('ZCOUNT', key, from, from)
    end
    if start < stop then
      heap[#heap + 1] = { key = key, next = start, stop = stop }
    end
  end
end
for _, s in ipairs(heap) do
  s.size = math.max(4, math.ceil(limit / #heap))
  read(s)
end
for i = math.floor(#heap / 2), 1, -1 do
  sink(i)
end
local answer = { '' }
while #heap > 0 and #answer <= 2 * limit do
  local s = heap[1]
  answer[#answer + 1] = s.piece[s.at]
  answer[#answer + 1] = s.piece[s.at + 1]
  s.at = s.at + 2
  if s.at < #s.piece then
    s.time = tonumber(s.piece[s.at + 1])
  elseif s.next < s.stop then
    read(s)
  else
    heap[1] = heap[#heap]
    heap[#heap] = nil
  end
  sink(1)
end
if #heap > 0 then
  answer[1] = '1'
end
return answer
