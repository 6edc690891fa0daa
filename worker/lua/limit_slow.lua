-- Slows an endpoint down after Easemob has said that a limit is reached.
-- KEYS[1] state of the endpoint's limits (hash)
-- ARGV[1] first pause, in microseconds
-- ARGV[2] longest pause, in microseconds
-- ARGV[3] how long the state is kept, in milliseconds
-- ARGV[4] how long a factor of 0 would take to come back to 1, in microseconds
-- ARGV[5] how long ago the call began that was refused, in microseconds
-- Returns for how many microseconds nobody may take leave.
local key = KEYS[1]
local first, longest, whole, age = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local function digits(x) return string.format('%.0f', x) end

local values = redis.call('HMGET', key, 'pause', 'length', 'eased')
local pause, length, eased = tonumber(values[1] or nil) or 0, tonumber(values[2] or nil) or 0, tonumber(values[3] or nil) or 0
if pause > now + 60000000 then
  pause = 0 -- the clock was set back
end
-- Calls that were in flight with the one that set the pause tell nothing new;
-- their answers may come some time after it.
if now - age < pause then
  return math.max(0, pause - now)
end
if now > pause + 2 * longest then
  length = first -- a lone one costs no more than this
else
  length = math.min(math.max(2 * length, first), longest)
  -- Two may come of calls that were not equally long on their way; with the third
  -- it is the limit that is lower.
  if length > 2 * first then
    local factor = 1
    if eased > now then
      factor = math.max(0, 1 - (eased - now) / whole)
    end
    eased = now + (1 - math.max(0.1, 0.8 * factor)) * whole
  end
end
redis.call('HSET', key, 'pause', digits(now + length), 'length', digits(length), 'eased', digits(eased))
redis.call('PEXPIRE', key, ARGV[3])
return length
