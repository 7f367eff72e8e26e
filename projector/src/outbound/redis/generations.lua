-- Moves pointers, all or none.
--
-- KEYS[1] the hash of generations
-- ARGV[1] number of fields that are expected  ARGV[2..] field, expected value ('' for none)  then field, new value ('' for none)
--
-- Answers 1, or 0 when a field has another value than expected.

local at = 2
for _ = 1, tonumber(ARGV[1]) do
  if (redis.call('HGET', KEYS[1], ARGV[at]) or '') ~= ARGV[at + 1] then
    return 0
  end
  at = at + 2
end
while ARGV[at] do
  if ARGV[at + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[at])
  else
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
  end
  at = at + 2
end
return 1
