-- Claims a task ID for one enqueue.
-- KEYS[1] claim of the ID (string)
-- KEYS[2] dead letter of the ID (string)
-- ARGV[1] this enqueue's claim: "<nonce> <queue>", or "list <digest> <parts>"
-- ARGV[2] how long the claim is kept, in milliseconds
-- ARGV[3] a claim that was left behind, to be replaced; "" for none
-- Returns "" when the claim is this enqueue's, "dead" when a dead letter holds
-- the ID, otherwise the claim that stands.
if redis.call('EXISTS', KEYS[2]) == 1 then
  return 'dead'
end
local claim = redis.call('GET', KEYS[1])
if claim and claim ~= ARGV[1] and claim ~= ARGV[3] then
  return claim
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''
