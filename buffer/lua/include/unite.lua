-- Two names turn out to be one person: from here on they are one conversation, the one of `keep`; what `drop` holds
-- moves there. Needs `entry`, `history`, `seen`, `window`, `batch` and `alias`.

local function lead(name, to, conv)
  conv.aliases = (conv.aliases or '') .. name
  redis.call('HSET', key('alias'), name, to)
  redis.call('HSET', key('conv', to), 'aliases', conv.aliases)
end

local function side_of(name, conv)
  local side = { name = name, conv = conv, holds = {}, seen = redis.call('GET', key('seen', name)) or '',
                 entries = redis.call('LRANGE', key('buffer', name), 0, -1) }
  for _, entry in ipairs(side.entries) do
    side.holds[fingerprint_of(entry)] = true
  end
  return side
end

-- Take out of an open burst what the other name brought too; returns how many.
local function drop_copies(side, seen, but_not, ttl_ms)
  local own, copies = {}, {}
  for _, entry in ipairs(side.entries) do
    local fingerprint = fingerprint_of(entry)
    local is_copy = remembered(seen, fingerprint, ttl_ms) and not but_not[fingerprint]
    table.insert(is_copy and copies or own, entry)
  end
  drop_media(side.name, copies)
  side.entries = own
  return #copies
end

-- A message that came under both names before they were known as one counts where it was sealed, else in `keep`.
local function count_once(keep, drop, ttl_ms)
  local copies = drop_copies(keep, drop.seen, drop.holds, ttl_ms) + drop_copies(drop, keep.seen, {}, ttl_ms)
  if copies > 0 then
    remember({ ref = keep.conv.ref, outcome = 'discarded', cause = 'duplicate', messages = copies })
    count('discarded', copies)
  end
  return copies
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

-- Why the united burst is due, and since when, or nil; what has fired first stays where it is.
local function fired_of(sides, depth, bytes, limits)
  local fired, fired_ms = nil, math.huge
  for _, side in ipairs(sides) do
    if side.conv.fired and number(side.conv, 'deadline_ms') < fired_ms then
      fired, fired_ms = side.conv.fired, number(side.conv, 'deadline_ms')
    end
  end
  if fired then
    return fired, fired_ms
  elseif depth >= limits.max_messages then
    return 'max_messages', now_ms
  elseif bytes >= limits.max_bytes then
    return 'max_bytes', now_ms
  end
end

-- The burst of those sides that have one: opened when the first was, quiet when all are.
local function united_window(sides, entries, limits)
  local opened_ms, latest_ms, bytes = math.huge, 0, 0
  for _, side in ipairs(sides) do
    opened_ms = math.min(opened_ms, number(side.conv, 'opened_ms'))
    latest_ms = math.max(latest_ms, number(side.conv, 'deadline_ms'))
  end
  for _, entry in ipairs(entries) do
    bytes = bytes + size_of(entry)
  end
  local fired, fired_ms = fired_of(sides, #entries, bytes, limits)
  local deadline_ms = fired and fired_ms or math.min(latest_ms, opened_ms + limits.max_wait_ms)
  return { opened_ms = opened_ms, deadline_ms = deadline_ms, bytes = bytes, depth = #entries, fired = fired }
end

local function set_fields(side, fields)
  for field, value in pairs(fields) do
    side.conv[field] = tostring(value)
    redis.call('HSET', key('conv', side.name), field, value)
  end
end

local function open_window(keep, entries, window)
  for _, entry in ipairs(entries) do
    redis.call('RPUSH', key('buffer', keep.name), entry)
  end
  for _, field in ipairs({ 'opened_ms', 'deadline_ms', 'bytes', 'depth', 'fired' }) do
    keep.conv[field] = window[field]
  end
  write_window(keep.name, window)
  redis.call('SET', key('timer', keep.name), '', 'PX', math.max(1, window.deadline_ms - now_ms))
end

local function move_window(keep, drop, limits)
  local copies = count_once(keep, drop, limits.dedupe_ttl_ms)
  if #drop.entries == 0 and copies == 0 then
    return
  end
  local sides = {}
  for _, side in ipairs({ keep, drop }) do
    if #side.entries > 0 then
      table.insert(sides, side)
    end
  end
  local entries = by_receipt(keep.entries, drop.entries)
  local window = united_window(sides, entries, limits)
  move_media(drop.name, keep.name, drop.entries)
  forget_window(drop.name)
  forget_window(keep.name)
  keep.conv.opened_ms = nil
  if #entries > 0 then
    open_window(keep, entries, window)
  end
end

local function move_redrive(keep, drop)
  if drop.conv.redrive then
    for _, flush_id in ipairs(redis.call('LRANGE', key('redrive', drop.name), 0, -1)) do
      redis.call('RPUSH', key('redrive', keep.name), flush_id)
    end
    redis.call('DEL', key('redrive', drop.name))
    set_fields(keep, { redrive = '1' })
  end
end

local function move_memory(keep, drop)
  if drop.seen ~= '' then
    redis.call('SET', key('seen', keep.name), merge_seen(keep.seen, drop.seen))
    redis.call('DEL', key('seen', drop.name))
  end
end

-- Of two marks of one message the greater counts: a revoke over an edit, the newer edit over the older.
local function move_marks(keep, drop)
  local flat = redis.call('HGETALL', key('mark', drop.name))
  for i = 1, #flat, 2 do
    local fingerprint, mark = flat[i], flat[i + 1]
    if mark > (redis.call('HGET', key('mark', keep.name), fingerprint) or '') then
      redis.call('HSET', key('mark', keep.name), fingerprint, mark)
    end
  end
  redis.call('DEL', key('mark', drop.name))
end

-- Carry over what stands in the hash: that there are marks, the name, the phone, the later pause.
local function move_fields(keep, drop)
  local ours, theirs = keep.conv, drop.conv
  local fields = { marks = ours.marks or theirs.marks, name = ours.name or theirs.name }
  if paused(theirs) and number(theirs, 'paused_until_ms') > number(ours, 'paused_until_ms') then
    fields.paused_until_ms, fields.pause_mode = theirs.paused_until_ms, theirs.pause_mode
  end
  if is_phone(theirs.peer) and not is_phone(ours.peer) then
    fields.peer = theirs.peer
  end
  set_fields(keep, fields)
end

-- A batch in hand stays where it is until it is done: it is leased under that name. What is left then is empty.
local function leave(drop)
  if drop.conv.flush_id then
    redis.call('HDEL', key('conv', drop.name), 'aliases', 'marks', 'redrive', 'paused_until_ms', 'pause_mode')
  else
    redis.call('DEL', key('conv', drop.name))
    redis.call('ZREM', key('wake'), drop.name)
    redis.call('ZREM', key('idle'), drop.name)
  end
end

-- Dispatchers are told: they may have handed out the name that is gone.
local function settle(keep)
  redis.call('ZREM', key('idle'), keep.name)
  if paused(keep.conv) and keep.conv.pause_mode == 'takeover' then
    discard_window(keep.name, keep.conv, 'takeover')
    stop_batches(keep.name, keep.conv, 'takeover')
  end
  if not keep.conv.flush_id then
    rearm(keep.name, keep.conv)
  end
  announce()
end

local function merge(keep, drop, limits)
  redis.call('ZADD', key('wake'), 'NX', now_ms, keep.name)
  move_window(keep, drop, limits)
  move_redrive(keep, drop)
  move_memory(keep, drop)
  move_marks(keep, drop)
  move_fields(keep, drop)
  leave(drop)
  for i = 1, #(drop.conv.aliases or ''), 16 do
    lead(string.sub(drop.conv.aliases, i, i + 15), keep.name, keep.conv)
  end
  lead(drop.name, keep.name, keep.conv)
  settle(keep)
end

-- `name` and `twin` are resolved; returns the conversation that both lead to now.
local function unite(name, twin, limits)
  if name == twin then
    return name
  end
  local here, there = read_conv(name), read_conv(twin)
  if (there.ref and not here.ref) or (there.flush_id and not here.flush_id) then
    name, here, twin, there = twin, there, name, here
  end
  if there.ref then
    merge(side_of(name, here), side_of(twin, there), limits)
  else
    lead(twin, name, here)
  end
  return name
end
