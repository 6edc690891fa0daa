-- Takes leave for calls to one endpoint of an app; limit.go explains the state.
-- KEYS[1] state of the endpoint's limits (hash)
-- ARGV[1] rank of the task's priority: 1 low, 2 default, 3 high
-- ARGV[2] calls of one permit
-- ARGV[3] messages of one permit
-- ARGV[4] the most permits to take
-- ARGV[5] name of a waiter, or "" for a fetch, which does not wait
-- ARGV[6] longest wait of the waiter in its process, in microseconds
-- ARGV[7] longest claim of one that waits in its queue, in microseconds
-- ARGV[8] how long the state is kept, in milliseconds
-- ARGV[9] how long a factor of 0 would take to come back to 1, in microseconds
-- ARGV[10...] the rates, six values each: name, beginning with c for calls or m
--   for messages; count; span of the guard, interval, tolerance and grain in
--   microseconds, where an interval of 0 means no pace
-- Returns {permits taken, microseconds until a fetch of this rank may find one};
-- with none taken, the time after which this permit may be had.
-- Fields: at (last use), pause (its end), eased (when the factor is 1 again),
--   waiter, rank, due, lapse (of the claim), open (from when one fetch may pass
--   it: the claimer is at the head of its queue); for each rate NAME:sum, NAME:head
--   and NAME:tail (of the log), NAME:1 to NAME:3 (when the next of a rank is
--   due), NAME:pace (the interval by which it is), NAME:#I (entry I of the log:
--   "time count").
local key = KEYS[1]
local rank, calls, messages = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local most, waiter, patience, longest = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local function digits(x) return string.format('%.0f', x) end

local rates = {}
local names = { 'at', 'pause', 'eased', 'waiter', 'rank', 'due', 'lapse', 'open' }
for i = 10, #ARGV, 6 do
  local r = {
    name = ARGV[i], count = tonumber(ARGV[i + 1]), span = tonumber(ARGV[i + 2]),
    interval = tonumber(ARGV[i + 3]), pace = ARGV[i + 3], tolerance = tonumber(ARGV[i + 4]), grain = tonumber(ARGV[i + 5]),
  }
  r.isCalls = string.sub(r.name, 1, 1) == 'c'
  r.cost = r.isCalls and calls or messages
  rates[#rates + 1] = r
  for _, part in ipairs({ ':sum', ':head', ':tail', ':1', ':2', ':3', ':pace' }) do
    names[#names + 1] = r.name .. part
  end
end

local values = redis.call('HMGET', key, unpack(names))
-- The clock may be set back: a little is waited out, after more the state is
-- worth nothing.
local at = tonumber(values[1]) or 0
if at > now + 1000000 then
  redis.call('DEL', key)
  values = {}
elseif at > now then
  now = at
end
local function value(i) return tonumber(values[i] or nil) or 0 end

local pause, eased = value(2), value(3)
local claim = { waiter = values[4] or '', rank = value(5), due = value(6), lapse = value(7), open = value(8) }
local factor = 1
if eased > now then
  factor = 1 - (eased - now) / tonumber(ARGV[9])
end

local function entry(r, i)
  local text = redis.call('HGET', key, r.name .. ':#' .. digits(i)) or ''
  local time, n = string.match(text, '^(%d+) (%d+)$')
  return tonumber(time) or 0, tonumber(n) or 0
end

-- Read each rate, and drop from its log what its span has left behind.
for i, r in ipairs(rates) do
  local first = 8 + (i - 1) * 7
  r.sum, r.head, r.tail = value(first + 1), value(first + 2), value(first + 3)
  r.due = { value(first + 4), value(first + 5), value(first + 6) }
  -- What is owed by the pace of another limit is owed by this one's.
  local pace = value(first + 7)
  if pace > 0 and pace ~= r.interval then
    for rank = 1, 3 do
      if r.due[rank] > now then
        r.due[rank] = now + (r.due[rank] - now) * r.interval / pace
      end
    end
  end
  while r.head < r.tail do
    local time, n = entry(r, r.head)
    if now - time < r.span then break end
    redis.call('HDEL', key, r.name .. ':#' .. digits(r.head))
    r.sum, r.head = r.sum - n, r.head + 1
  end
end

-- A task that alone is over the limit may go once nothing is in the log but the
-- one message that its fetch took.
local function fits(r, sum, cost)
  return sum + cost <= r.count or sum == 0 or (sum == 1 and cost > 1 and cost >= r.count)
end

-- How long until cost more may go.
local function waitFor(r, cost)
  local wait = 0
  if r.interval > 0 then
    wait = r.due[rank] - r.tolerance - now
  end
  local sum, i = r.sum, r.head
  while i < r.tail and not fits(r, sum, cost) do
    local time, n = entry(r, i)
    sum, i = sum - n, i + 1
    wait = math.max(wait, time + r.span - now)
  end
  return wait
end

local wait = pause - now
local permits = most
for _, r in ipairs(rates) do
  if r.cost > 0 then
    wait = math.max(wait, waitFor(r, r.cost))
    if r.interval > 0 then
      local ahead = r.tolerance - math.max(0, r.due[rank] - now)
      permits = math.min(permits, 1 + math.floor(ahead * factor / (r.interval * r.cost)))
    end
    permits = math.min(permits, math.max(1, math.floor((r.count - r.sum) / r.cost)))
  end
end

local mine = waiter ~= '' and claim.waiter == waiter
local claimed = claim.waiter ~= '' and claim.lapse > now and not mine
local through = claimed and waiter == '' and claim.rank == rank and claim.open > 0 and claim.open <= now
if through then
  permits = 1 -- for the one at the head of its queue
elseif claimed and claim.rank >= rank then
  wait = math.max(wait, claim.due - now, claim.open - now, 1000)
end

local taken = 0
if wait <= 0 then
  taken = permits
  for _, r in ipairs(rates) do
    local n = r.cost * permits
    if n > 0 then
      r.sum = r.sum + n
      for i = 1, rank do
        r.due[i] = math.max(r.due[i], now) + n * r.interval / factor
      end
      local last = r.tail
      if r.head < r.tail then
        local time, before = entry(r, r.tail - 1)
        if time == now or (r.grain > 0 and math.floor(time / r.grain) == math.floor(now / r.grain)) then
          last, n = r.tail - 1, n + before
        end
      end
      redis.call('HSET', key, r.name .. ':#' .. digits(last), digits(now) .. ' ' .. digits(n))
      r.tail = last + 1
    end
  end
  if mine then
    redis.call('HDEL', key, 'waiter')
  elseif through then
    redis.call('HSET', key, 'open', digits(now + 200000))
  end
  wait = pause - now
  for _, r in ipairs(rates) do
    wait = math.max(wait, waitFor(r, 1))
  end
elseif waiter ~= '' and not (claimed and claim.rank >= rank) then
  -- Until a moment after this waiter is due, none of its rank or below may take
  -- what it waits for. One that goes back to the head of its queue is the next
  -- to be fetched, so that a single fetch may pass its claim when it is due, and
  -- another one if that does not ask for it within 200 ms.
  local due, open = now + wait, 0
  if wait > patience then
    due = now + math.min(wait, longest)
    open = due
  end
  redis.call('HSET', key, 'waiter', waiter, 'rank', rank, 'due', digits(due), 'lapse', digits(due + 1000000), 'open', digits(open))
end

local state = { 'at', digits(now) }
for _, r in ipairs(rates) do
  for part, x in pairs({ sum = r.sum, head = r.head, tail = r.tail, ['1'] = r.due[1], ['2'] = r.due[2], ['3'] = r.due[3] }) do
    state[#state + 1] = r.name .. ':' .. part
    state[#state + 1] = digits(x)
  end
  state[#state + 1] = r.name .. ':pace'
  state[#state + 1] = r.pace
end
redis.call('HSET', key, unpack(state))
redis.call('PEXPIRE', key, ARGV[8])
return { taken, math.ceil(math.max(wait, 0)) }
