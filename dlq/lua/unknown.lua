-- Counts an answer that no rule knew, in its group.
-- KEYS[1] groups (hash: group to "COUNT FIRST LAST\nSAMPLE", times in ms)
-- KEYS[2] groups by the time when they were last seen, in ms (sorted set)
-- ARGV[1] group
-- ARGV[2] now, ms
-- ARGV[3] sample, in the place of the group's last one
-- ARGV[4] how many groups are kept; of more, those go that were not seen for longest
local old = redis.call('HGET', KEYS[1], ARGV[1])
local count, first, last = string.match(old or '', '^(%d+) (%d+) (%d+)\n')
count = count and tonumber(count) + 1 or 1
first = first or ARGV[2]
if not last or tonumber(last) < tonumber(ARGV[2]) then
  last = ARGV[2]
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', count) .. ' ' .. first .. ' ' .. last .. '\n' .. ARGV[3])
redis.call('ZADD', KEYS[2], last, ARGV[1])
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
if over > 0 then
  for _, group in ipairs(redis.call('ZRANGE', KEYS[2], 0, over - 1)) do
    redis.call('HDEL', KEYS[1], group)
    redis.call('ZREM', KEYS[2], group)
  end
end
return 1
