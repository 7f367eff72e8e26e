#!lua name=orderflow_apply_4
-- Writes one chunk of a projection, all or nothing. Every key is in KEYS and shares one hash tag.
--
-- KEYS[1] state  KEYS[2] change log  KEYS[3..] those of the operations
-- ARGV[1] expected revision ('' for none)  ARGV[2] next revision  ARGV[3] offset  ARGV[4] cluster  ARGV[5] events
-- ARGV[6] time  ARGV[7] goal ('' when the slot is complete)  ARGV[8] log entries to keep  ARGV[9] changes ('' for none)
-- ARGV[10..] operations: name, index of its (first) key, number of items, items
--
-- Answers 1, or 0 when the revision is another: another projector wrote, or Redis was emptied or restored.

local operations = {}

-- Items: values, one for each key from the first on.
operations['views'] = function(keys, first, args, from, count)
  local pairs = {}
  for i = 0, count - 1 do
    pairs[2 * i + 1] = keys[first + i]
    pairs[2 * i + 2] = args[from + i]
  end
  redis.call('MSET', unpack(pairs))
end

-- Items: anything, one for each key from the first on: the key goes.
operations['drop'] = function(keys, first, args, from, count)
  for i = 0, count - 1 do
    redis.call('UNLINK', keys[first + i])
  end
end

-- Items: members, all of score 0.
operations['add'] = function(keys, key, args, from, count)
  local scored = {}
  for i = 0, count - 1 do
    scored[2 * i + 1] = '0'
    scored[2 * i + 2] = args[from + i]
  end
  redis.call('ZADD', keys[key], unpack(scored))
end

-- Items: members.
operations['remove'] = function(keys, key, args, from, count)
  redis.call('ZREM', keys[key], unpack(args, from, from + count - 1))
end

-- Items: score, member.
operations['score'] = function(keys, key, args, from, count)
  redis.call('ZADD', keys[key], unpack(args, from, from + count - 1))
end

-- Items: fields.
operations['delete'] = function(keys, key, args, from, count)
  redis.call('HDEL', keys[key], unpack(args, from, from + count - 1))
end

-- Items: field, value.
operations['set'] = function(keys, key, args, from, count)
  redis.call('HSET', keys[key], unpack(args, from, from + count - 1))
end

-- Items: field, value. Compare and delete: what another has claimed since is not ours to release.
operations['release'] = function(keys, key, args, from, count)
  for i = from, from + count - 1, 2 do
    if redis.call('HGET', keys[key], args[i]) == args[i + 1] then
      redis.call('HDEL', keys[key], args[i])
    end
  end
end

local function apply(keys, args)
  if (redis.call('HGET', keys[1], 'rev') or '') ~= args[1] then
    return 0
  end
  redis.call('HSET', keys[1], 'rev', args[2], 'offset', args[3], 'cluster', args[4], 'events', args[5], 'at', args[6],
    'goal', args[7])
  if args[9] ~= '' then
    redis.call('XADD', keys[2], 'MAXLEN', args[8], '*', 'changes', args[9])
  end
  local at = 10
  while args[at] do
    local count = tonumber(args[at + 2])
    operations[args[at]](keys, tonumber(args[at + 1]), args, at + 3, count)
    at = at + 3 + count
  end
  return 1
end

redis.register_function('orderflow_apply_4', apply)
