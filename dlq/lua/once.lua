-- Sets a field of a hash that is not there yet.
-- KEYS[1] hash
-- KEYS[2] audit (stream)
-- ARGV[1] field
-- ARGV[2] value
-- ARGV[3] line of the audit; "" for none
-- ARGV[4] how many lines the audit keeps, about
-- Returns 1 when it was set, 0 when it was there; then nothing is changed.
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  return 0
end
if ARGV[3] ~= '' then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'line', ARGV[3])
end
return 1
