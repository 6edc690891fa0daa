-- Takes away one field of a hash, such as a reason for queues to be paused, and notes
-- the queues that may run again.
-- KEYS[1] hash
-- KEYS[2] queues that may run again (set)
-- KEYS[3] audit (stream)
-- ARGV[1] field
-- ARGV[2] line of the audit; "" for none
-- ARGV[3] how many lines the audit keeps, about
-- ARGV[4...] queues, if any
-- Returns 1 when the field was there, 0 when it was not; then nothing is changed.
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then
  return 0
end
if #ARGV > 3 then
  redis.call('SADD', KEYS[2], unpack(ARGV, 4))
end
if ARGV[2] ~= '' then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'line', ARGV[2])
end
return 1
