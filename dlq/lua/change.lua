-- Creates an entry or moves it to another state, if it still is as its author read it.
-- KEYS[1] entry (string)
-- KEYS[2] entries of the old cause, in the old state (sorted set)
-- KEYS[3] entries of the new cause, in the new state (sorted set)
-- KEYS[4] unconfirmed resends (sorted set)
-- KEYS[5] ended entries (sorted set)
-- KEYS[6] causes (set)
-- KEYS[7] old cause (hash)
-- KEYS[8] new cause (hash)
-- KEYS[9] operation (hash)
-- KEYS[10] audit (stream)
-- KEYS[11...] buckets of the index of subjects (sorted sets): first those that
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
-- ARGV[12] what the operation counts; "" for nothing
-- ARGV[13] line of the audit; "" for none
-- ARGV[14] how many lines the audit keeps, about
-- ARGV[15] ID of the new cause
-- ARGV[16] what the new cause should have as its print; "" when it is the old one
-- ARGV[17] HTTP status of the entry
-- ARGV[18] how many of the buckets list the entry from now on
-- ARGV[19] how many causes there may be
-- ARGV[20...] fields and values of the new cause; none to try without
-- Returns 1 when the change is made, by this call or by an earlier one whose
-- answer was lost; 0 when the entry is not as it was read; -1 when the new cause
-- has another print, so that its fields must be given; -2 when it is new and there
-- are too many.
local id, now, old, new = ARGV[1], ARGV[6], ARGV[10], ARGV[11]
local head = string.match(redis.call('GETRANGE', KEYS[1], 0, 255), '^[^\n]*')
if head == ARGV[3] then
  return 1
end
if head ~= ARGV[2] then
  return 0
end
if ARGV[16] == '' then
  if old ~= new then
    redis.call('HINCRBY', KEYS[8], new, 1)
  end
else
  local c = redis.call('HMGET', KEYS[8], 'print', 'first', 'last', 'statuses', 'triage', 'dead', 'resending', new)
  if c[1] ~= ARGV[16] then
    if not c[1] and redis.call('SCARD', KEYS[6]) >= tonumber(ARGV[19]) then
      return -2
    end
    if #ARGV == 19 then
      return -1
    end
    redis.call('SADD', KEYS[6], ARGV[15])
    redis.call('HSET', KEYS[8], 'print', ARGV[16], unpack(ARGV, 20))
  end
  local at, set = tonumber(ARGV[5]), {}
  if not c[2] or tonumber(c[2]) > at then
    set[#set + 1], set[#set + 2] = 'first', ARGV[5]
  end
  if not c[3] or tonumber(c[3]) < at then
    set[#set + 1], set[#set + 2] = 'last', ARGV[5]
  end
  if not c[4] or not string.find(c[4], ' ' .. ARGV[17] .. ' ', 1, true) then
    set[#set + 1], set[#set + 2] = 'statuses', (c[4] or ' ') .. ARGV[17] .. ' '
  end
  -- A cause of which nothing was left comes back: what a person said of it before
  -- is over, unless it is not to be looked at.
  if (tonumber(c[6]) or 0) + (tonumber(c[7]) or 0) == 0 and c[5] ~= 'ignored' then
    set[#set + 1], set[#set + 2] = 'opened', now
    if c[5] then
      redis.call('HDEL', KEYS[8], 'triage', 'triage_by', 'triage_note', 'triage_at')
    end
  end
  if old ~= new or KEYS[7] ~= KEYS[8] then
    set[#set + 1], set[#set + 2] = new, (tonumber(c[8]) or 0) + 1
  end
  if #set > 0 then
    redis.call('HSET', KEYS[8], unpack(set))
  end
end
redis.call('SET', KEYS[1], ARGV[3] .. '\n' .. ARGV[4])
if old ~= '' then
  if old ~= new or KEYS[7] ~= KEYS[8] then
    redis.call('HINCRBY', KEYS[7], old, -1)
  end
  if KEYS[2] ~= KEYS[3] then
    redis.call('ZREM', KEYS[2], id)
  end
end
redis.call('ZADD', KEYS[3], ARGV[5], id)
local listed = 10 + tonumber(ARGV[18])
for i = 11, #KEYS do
  if i <= listed then
    redis.call('ZADD', KEYS[i], ARGV[5], id)
  else
    redis.call('ZREM', KEYS[i], id)
  end
end
if ARGV[7] ~= '' then
  redis.call('ZREM', KEYS[4], ARGV[7])
end
if ARGV[8] ~= '' then
  redis.call('ZADD', KEYS[4], now, ARGV[8])
end
if ARGV[9] == '1' then
  redis.call('ZADD', KEYS[5], now, id)
elseif old == 'discarded' or old == 'resolved' then
  redis.call('ZREM', KEYS[5], id)
end
if ARGV[12] ~= '' then
  redis.call('HINCRBY', KEYS[9], ARGV[12], 1)
end
if ARGV[13] ~= '' then
  redis.call('XADD', KEYS[10], 'MAXLEN', '~', ARGV[14], '*', 'line', ARGV[13])
end
return 1
