-- Two names turn out to be one person: from here on they are one conversation. Needs `entry`, `seen` and `alias`.

local function lead(name, to, conv)
  redis.call('HSET', key('alias'), name, to)
  redis.call('HSET', key('conv', to), 'aliases', (conv.aliases or '') .. name)
  conv.aliases = (conv.aliases or '') .. name
end

local function by_receipt(first, second)
  local entries, i, j = {}, 1, 1
  while i <= #first or j <= #second do
    if j > #second or (i <= #first and received_of(first[i]) <= received_of(second[j])) then
      table.insert(entries, first[i])
      i = i + 1
    else
      table.insert(entries, second[j])
      j = j + 1
    end
  end
  return entries
end

-- The open burst of both: opened when the first was, quiet when both are, at once when one has fired.
local function merged_window(keep, drop, max_wait_ms)
  if not keep.opened_ms or not drop.opened_ms then
    local one = keep.opened_ms and keep or drop
    return number(one, 'opened_ms'), number(one, 'deadline_ms'), number(one, 'bytes'), one.fired
  end
  local opened_ms = math.min(number(keep, 'opened_ms'), number(drop, 'opened_ms'))
  local latest_ms = math.max(number(keep, 'deadline_ms'), number(drop, 'deadline_ms'))
  local fired = keep.fired or drop.fired
  local deadline_ms = fired and now_ms or math.min(latest_ms, opened_ms + max_wait_ms)
  return opened_ms, deadline_ms, number(keep, 'bytes') + number(drop, 'bytes'), fired
end

local function move_media(keep_name, drop_name, entry)
  local media = has_media(entry) and redis.call('HGET', key('media', drop_name), fingerprint_of(entry))
  if media then
    redis.call('HSET', key('media', keep_name), fingerprint_of(entry), media)
    redis.call('HDEL', key('media', drop_name), fingerprint_of(entry))
  end
end

local function move_window(keep_name, keep, drop_name, drop, max_wait_ms)
  if not drop.opened_ms then
    return
  end
  local opened_ms, deadline_ms, bytes, fired = merged_window(keep, drop, max_wait_ms)
  if keep.flush_id or keep.redrive then
    redis.call('ZADD', key('wake'), 'NX', now_ms, keep_name)
  else
    wake_sooner(keep_name, paused(keep) and number(keep, 'paused_until_ms') or deadline_ms)
  end
  local entries = by_receipt(redis.call('LRANGE', key('buffer', keep_name), 0, -1),
    redis.call('LRANGE', key('buffer', drop_name), 0, -1))
  redis.call('DEL', key('buffer', keep_name), key('buffer', drop_name), key('timer', drop_name))
  for _, entry in ipairs(entries) do
    redis.call('RPUSH', key('buffer', keep_name), entry)
    move_media(keep_name, drop_name, entry)
  end
  redis.call('HDEL', key('conv', drop_name), 'opened_ms', 'deadline_ms', 'bytes', 'fired')
  redis.call('HSET', key('conv', keep_name), 'opened_ms', opened_ms, 'deadline_ms', deadline_ms, 'bytes', bytes)
  keep.opened_ms, keep.deadline_ms, keep.bytes = tostring(opened_ms), tostring(deadline_ms), tostring(bytes)
  if fired then
    redis.call('HSET', key('conv', keep_name), 'fired', fired)
    keep.fired = fired
  end
end

local function move_marks(keep_name, drop_name)
  local flat = redis.call('HGETALL', key('mark', drop_name))
  for i = 1, #flat, 2 do
    redis.call('HSET', key('mark', keep_name), flat[i], flat[i + 1])
  end
  redis.call('DEL', key('mark', drop_name))
end

local function move_memory(keep_name, drop_name)
  local other = redis.call('GET', key('seen', drop_name))
  if other then
    redis.call('SET', key('seen', keep_name), merge_seen(redis.call('GET', key('seen', keep_name)) or '', other))
    redis.call('DEL', key('seen', drop_name))
  end
end

local function move_redrive(keep_name, keep, drop_name, drop)
  if drop.redrive then
    redis.call('HSET', key('conv', keep_name), 'redrive', '1')
    keep.redrive = '1'
    for _, flush_id in ipairs(redis.call('LRANGE', key('redrive', drop_name), 0, -1)) do
      redis.call('RPUSH', key('redrive', keep_name), flush_id)
    end
    redis.call('DEL', key('redrive', drop_name))
    redis.call('HDEL', key('conv', drop_name), 'redrive')
    redis.call('ZADD', key('wake'), keep.flush_id and 'NX' or 'LT', now_ms, keep_name)
  end
end

-- Carry over what stands in the hash: the later pause, the highest generation, marks, names that lead here.
local function move_fields(keep_name, keep, drop_name, drop)
  local fields = { 'generation', math.max(number(keep, 'generation'), number(drop, 'generation')) }
  if paused(drop) and number(drop, 'paused_until_ms') > number(keep, 'paused_until_ms') then
    for _, field in ipairs({ 'paused_until_ms', 'pause_mode' }) do
      keep[field] = drop[field]
      table.insert(fields, field)
      table.insert(fields, drop[field])
    end
  end
  if drop.marks then
    table.insert(fields, 'marks')
    table.insert(fields, '1')
    keep.marks = '1'
  end
  redis.call('HSET', key('conv', keep_name), unpack(fields))
  for i = 1, #(drop.aliases or ''), 16 do
    lead(string.sub(drop.aliases, i, i + 15), keep_name, keep)
  end
end

-- A batch in hand stays where it is until it is done: it is leased under that name. What is left then is empty.
local function leave(drop_name, drop)
  if drop.flush_id then
    redis.call('HDEL', key('conv', drop_name), 'aliases', 'marks', 'paused_until_ms', 'pause_mode')
  else
    redis.call('DEL', key('conv', drop_name))
    redis.call('ZREM', key('wake'), drop_name)
    redis.call('ZREM', key('idle'), drop_name)
  end
end

-- Two names of one person, of which `name` and `twin` are already resolved; returns the conversation both have now.
local function unite(name, twin, max_wait_ms)
  if name == twin then
    return name
  end
  local here, there = read_conv(name), read_conv(twin)
  if not there.ref then
    lead(twin, name, here)
    return name
  elseif not here.ref then
    lead(name, twin, there)
    return twin
  end
  local keep_name, keep, drop_name, drop = name, here, twin, there
  if there.flush_id and not here.flush_id then
    keep_name, keep, drop_name, drop = twin, there, name, here
  end
  move_window(keep_name, keep, drop_name, drop, max_wait_ms)
  move_redrive(keep_name, keep, drop_name, drop)
  move_memory(keep_name, drop_name)
  move_marks(keep_name, drop_name)
  move_fields(keep_name, keep, drop_name, drop)
  leave(drop_name, drop)
  lead(drop_name, keep_name, keep)
  return keep_name
end
