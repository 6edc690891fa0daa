-- Creates an entry or moves it to another state, if it still is as its author read it.
-- KEYS[1] entry (string)
-- KEYS[2] entries of the app in the old state (sorted set)
-- KEYS[3] entries of the old cause in the old state (sorted set)
-- KEYS[4] entries of the app in the new state (sorted set)
-- KEYS[5] entries of the new cause in the new state (sorted set)
-- KEYS[6] unconfirmed resends (sorted set)
-- KEYS[7] ended entries (sorted set)
-- KEYS[8] causes (set)
-- KEYS[9] old cause (hash)
-- KEYS[10] new cause (hash)
-- KEYS[11] deaths of the new cause by time (hash)
-- KEYS[12] operation (hash)
-- KEYS[13] audit (stream)
-- KEYS[14...] buckets of the index of subjects (sorted sets): first those that
--   list the entry from now on, then those that don't any more
-- ARGV[1] ID
-- ARGV[2] head as it was read; "" when there was no entry
-- ARGV[3] new head
-- ARGV[4] new body, all that follows the head
-- ARGV[5] time of the last failure, ms
-- ARGV[6] now, ms
-- ARGV[7] resend that ends, as an ID in the queue; "" for none
-- ARGV[8] resend that begins, as an ID in the queue; "" for none
-- ARGV[9] "1" when the new state is an end
-- ARGV[10] old state; "" for none
-- ARGV[11] new state
-- ARGV[12] "1" when a task died
-- ARGV[13] what the operation counts; "" for nothing
-- ARGV[14] line of the audit; "" for none
-- ARGV[15] how many lines the audit keeps, about
-- ARGV[16] ID of the new cause
-- ARGV[17] what the new cause should have as its print; "" when it is the old one
-- ARGV[18] HTTP status of the entry
-- ARGV[19] how many of the buckets list the entry from now on
-- ARGV[20] how many causes there may be
-- ARGV[21...] fields and values of the new cause; none to try without
-- Returns 1 when the change is made, by this call or by an earlier one whose
-- answer was lost; 0 when the entry is not as it was read; -1 when the new cause
-- has another print, so that its fields must be given; -2 when it is new and there
-- are too many.
local id, now = ARGV[1], ARGV[6]
local head = string.match(redis.call('GETRANGE', KEYS[1], 0, 255), '^[^\n]*')
if head == ARGV[3] then
  return 1
end
if head ~= ARGV[2] then
  return 0
end
if ARGV[17] ~= '' then
  local print = redis.call('HGET', KEYS[10], 'print')
  if print ~= ARGV[17] then
    if not print and redis.call('SCARD', KEYS[8]) >= tonumber(ARGV[20]) then
      return -2
    end
    if #ARGV == 20 then
      return -1
    end
    redis.call('SADD', KEYS[8], ARGV[16])
    redis.call('HSET', KEYS[10], 'print', ARGV[17], unpack(ARGV, 21))
  end
  local c = redis.call('HMGET', KEYS[10], 'first', 'last', 'statuses', 'dead', 'resending', 'triage')
  if not c[1] or tonumber(c[1]) > tonumber(ARGV[5]) then
    redis.call('HSET', KEYS[10], 'first', ARGV[5])
  end
  if not c[2] or tonumber(c[2]) < tonumber(ARGV[5]) then
    redis.call('HSET', KEYS[10], 'last', ARGV[5])
  end
  if not c[3] or not string.find(c[3], ' ' .. ARGV[18] .. ' ', 1, true) then
    redis.call('HSET', KEYS[10], 'statuses', (c[3] or ' ') .. ARGV[18] .. ' ')
  end
  -- A cause of which nothing was left comes back: what a person said of it before
  -- is over, unless it is not to be looked at.
  if (tonumber(c[4]) or 0) + (tonumber(c[5]) or 0) == 0 and c[6] ~= 'ignored' then
    redis.call('HSET', KEYS[10], 'opened', now)
    if c[6] then
      redis.call('HDEL', KEYS[10], 'triage', 'triage_by', 'triage_note', 'triage_at')
    end
  end
end
redis.call('SET', KEYS[1], ARGV[3] .. '\n' .. ARGV[4])
if ARGV[10] ~= '' then
  if KEYS[2] ~= KEYS[4] then
    redis.call('ZREM', KEYS[2], id)
  end
  if KEYS[3] ~= KEYS[5] then
    redis.call('ZREM', KEYS[3], id)
  end
  redis.call('HINCRBY', KEYS[9], ARGV[10], -1)
end
redis.call('HINCRBY', KEYS[10], ARGV[11], 1)
redis.call('ZADD', KEYS[4], ARGV[5], id)
redis.call('ZADD', KEYS[5], ARGV[5], id)
local added = 13 + tonumber(ARGV[19])
for i = 14, #KEYS do
  if i <= added then
    redis.call('ZADD', KEYS[i], ARGV[5], id)
  else
    redis.call('ZREM', KEYS[i], id)
  end
end
if ARGV[7] ~= '' then
  redis.call('ZREM', KEYS[6], ARGV[7])
end
if ARGV[8] ~= '' then
  redis.call('ZADD', KEYS[6], now, ARGV[8])
end
if ARGV[9] == '1' then
  redis.call('ZADD', KEYS[7], now, id)
elseif ARGV[10] == 'discarded' or ARGV[10] == 'resolved' then
  redis.call('ZREM', KEYS[7], id)
end
if ARGV[12] == '1' then
  -- In steps of ten minutes for two hours, in steps of an hour for two days; what
  -- is older goes whenever a step begins.
  local hour, minutes = math.floor(ARGV[5] / 3600000), math.floor(ARGV[5] / 600000)
  local begun = redis.call('HINCRBY', KEYS[11], 'm' .. minutes, 1)
  redis.call('HINCRBY', KEYS[11], 'h' .. hour, 1)
  if begun == 1 then
    for _, field in ipairs(redis.call('HKEYS', KEYS[11])) do
      local unit, step = string.sub(field, 1, 1), tonumber(string.sub(field, 2))
      if unit == 'm' and step < minutes - 12 or unit == 'h' and step < hour - 48 then
        redis.call('HDEL', KEYS[11], field)
      end
    end
  end
end
if ARGV[13] ~= '' then
  redis.call('HINCRBY', KEYS[12], ARGV[13], 1)
end
if ARGV[14] ~= '' then
  redis.call('XADD', KEYS[13], 'MAXLEN', '~', ARGV[15], '*', 'line', ARGV[14])
end
return 1
