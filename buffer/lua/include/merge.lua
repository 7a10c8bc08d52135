-- Merges two conversations of one person into `keep`: open burst, dead letters to redrive, seen ids, pending edits and
-- revokes, name, phone, pause. `drop` becomes an alias of it.
-- Needs `entry`, `history`, `record_discard`, `seen`, `window`, `batch`, `stop` and `alias`.

-- Make `name` an alias of `target`, whose conv is given.
local function set_alias(name, target, conv)
  conv.aliases = (conv.aliases or '') .. name
  call('HSET', key('alias'), name, target)
  call('HSET', key('conv', target), 'aliases', conv.aliases)
end

local function load_side(name, conv)
  local side = { name = name, conv = conv, holds = {}, seen = call('GET', key('seen', name)) or '',
                 entries = call('LRANGE', key('buffer', name), 0, -1) }
  for _, entry in ipairs(side.entries) do
    side.holds[fingerprint_of(entry)] = true
  end
  return side
end

-- Take those messages out of a side's burst that are in the seen set of the other side, but not in `but_not`.
-- Return how many.
local function drop_copies(side, other, but_not, ttl_ms)
  local own, copies = {}, {}
  for _, entry in ipairs(side.entries) do
    local fingerprint = fingerprint_of(entry)
    local is_copy = seen_nonce(other.name, other.seen, fingerprint, ttl_ms) and not but_not[fingerprint]
    table.insert(is_copy and copies or own, entry)
  end
  drop_media(side.name, copies)
  side.entries = own
  return #copies
end

-- A message that both conversations got stays where it is sealed. If both hold it in their open bursts, it stays in
-- `keep`. Discard the other copies and record them. Return how many.
local function discard_copies(keep, drop, ttl_ms)
  local copies = drop_copies(keep, drop, drop.holds, ttl_ms) + drop_copies(drop, keep, {}, ttl_ms)
  if copies > 0 then
    record_discard(keep.conv, 'duplicate', copies)
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

-- Return why the merged burst has fired and its deadline, or nothing. A deadline that has fired never moves: of two
-- the earlier one counts.
local function merged_firing(sides, depth, bytes, limits)
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

-- Return the window of the merged burst: the earlier opening, the later deadline, the quiet time of the newer one, the flags
-- of both. `sides` are those that have a burst.
local function merged_window(sides, entries, limits)
  local opened_ms, latest_ms, last_ms, bytes, flags, newer = math.huge, 0, 0, 0, 0, nil
  for _, side in ipairs(sides) do
    opened_ms = min(opened_ms, number(side.conv, 'opened_ms'))
    if not newer or number(side.conv, 'last_ms') > last_ms then
      newer, last_ms = side.conv, number(side.conv, 'last_ms')
    end
    flags = bit.bor(flags, side.conv.flags or 0)
    latest_ms = max(latest_ms, number(side.conv, 'deadline_ms'))
  end
  for _, entry in ipairs(entries) do
    bytes = bytes + size_of(entry)
  end
  local fired, fired_ms = merged_firing(sides, #entries, bytes, limits)
  local deadline_ms = fired and fired_ms or min(latest_ms, opened_ms + limits.max_wait_ms)
  return { opened_ms = opened_ms, deadline_ms = deadline_ms, bytes = bytes, depth = #entries, last_ms = last_ms,
           window_ms = newer and newer.window_ms or 0, why = newer and newer.why or 0, flags = flags, fired = fired,
           rules = limits.rules }
end

local function set_fields(side, fields)
  for field, value in pairs(fields) do
    side.conv[field] = tostring(value)
    call('HSET', key('conv', side.name), field, value)
  end
end

local function open_window(keep, entries, window)
  for _, entry in ipairs(entries) do
    call('RPUSH', key('buffer', keep.name), entry)
  end
  for _, field in ipairs({ 'opened_ms', 'deadline_ms', 'bytes', 'depth', 'last_ms', 'window_ms', 'why', 'flags', 'fired',
                           'rules' }) do
    keep.conv[field] = window[field]
  end
  write_window(keep.name, window)
  call('SET', key('timer', keep.name), '', 'PX', max(1, window.deadline_ms - now_ms))
end

-- The merged burst replaces the batches that both bursts have taken back (include/rejoin.lua has the layout).
local function move_taken_back(keep, drop)
  if keep.conv.taken_back and drop.conv.taken_back then
    local taken, more = cmsgpack.unpack(keep.conv.taken_back), cmsgpack.unpack(drop.conv.taken_back)
    taken[1], taken[2], taken[3] = taken[1] .. ' ' .. more[1], max(taken[2], more[2]), max(taken[3], more[3])
    for i = 4, #more do
      taken[#taken + 1] = more[i]
    end
    set_fields(keep, { taken_back = cmsgpack.pack(taken) })
  elseif drop.conv.taken_back then
    set_fields(keep, { taken_back = drop.conv.taken_back })
  end
end

local function end_taken_back(side)
  local name, conv, cause = side.name, side.conv, 'duplicate'
  if conv.taken_back then
    -- include: end_taken_back
  end
end

local function move_window(keep, drop, limits)
  local copies = discard_copies(keep, drop, limits.dedupe_ttl_ms)
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
  local window = merged_window(sides, entries, limits)
  move_media(drop.name, keep.name, drop.entries)
  forget_window(drop.name)
  forget_window(keep.name)
  keep.conv.opened_ms = nil
  if #entries > 0 then
    open_window(keep, entries, window)
    move_taken_back(keep, drop)
  else
    end_taken_back(keep)
    end_taken_back(drop)
  end
end

local function move_redrive(keep, drop)
  if drop.conv.redrive then
    for _, flush_id in ipairs(call('LRANGE', key('redrive', drop.name), 0, -1)) do
      call('RPUSH', key('redrive', keep.name), flush_id)
    end
    call('DEL', key('redrive', drop.name))
    set_fields(keep, { redrive = '1' })
  end
end

local function move_seen(keep, drop)
  if drop.seen ~= '' then
    call('SET', key('seen', keep.name), slabs_steps().merge(keep, drop))
    call('DEL', key('seen', drop.name), key('slabs', drop.name))
  end
end

-- Of two pending changes of one message the greater string counts: a revoke over an edit, a newer edit over an older.
local function move_pending_changes(keep, drop)
  local flat = call('HGETALL', key('mark', drop.name))
  for i = 1, #flat, 2 do
    local fingerprint, pending_change = flat[i], flat[i + 1]
    if pending_change > (call('HGET', key('mark', keep.name), fingerprint) or '') then
      call('HSET', key('mark', keep.name), fingerprint, pending_change)
    end
  end
  call('DEL', key('mark', drop.name))
end

-- The memory of the conversation that stays counts. One of the other conversation alone moves.
local function move_memory(keep, drop)
  if drop.conv.remembers and not keep.conv.remembers then
    call('RENAME', key('memory', drop.name), key('memory', keep.name))
    set_fields(keep, { remembers = 1 })
  elseif drop.conv.remembers then
    call('DEL', key('memory', drop.name))
  end
end

-- Move fields of the conv hash: the flag for pending changes, the name, the phone, the later pause, the names under
-- which batches stay, the parts in doubt, and the span by which gaps are counted.
local function move_fields(keep, drop)
  local kept, dropped = keep.conv, drop.conv
  local behind = (kept.behind or '') .. (dropped.behind or '') .. (dropped.flush_id and drop.name or '')
  local fields = { marks = kept.marks or dropped.marks, name = kept.name or dropped.name,
                   behind = behind ~= '' and behind or nil,
                   span = kept.span or not dropped.flush_id and dropped.span or nil }
  if dropped.doubts then
    fields.doubts = (kept.doubts and kept.doubts .. ' ' or '') .. dropped.doubts
  end
  if paused(dropped) and number(dropped, 'paused_until_ms') > number(kept, 'paused_until_ms') then
    fields.paused_until_ms, fields.pause_mode = dropped.paused_until_ms, dropped.pause_mode
  end
  if is_phone(dropped.peer) and not is_phone(kept.peer) then
    fields.peer = dropped.peer
  end
  set_fields(keep, fields)
end

-- A batch of `drop` stays under its old hash, which its lease is for. Without one, nothing of `drop` stays.
local function forget_dropped(drop)
  if drop.conv.flush_id then
    call('HDEL', key('conv', drop.name), 'aliases', 'marks', 'redrive', 'paused_until_ms', 'pause_mode', 'behind',
      'doubts', 'remembers', 'taken_back')
    call('HSET', key('conv', drop.name), 'is_left', '1')
  else
    call('DEL', key('conv', drop.name))
    call('ZREM', key('wake'), drop.name)
    call('ZREM', key('idle'), drop.name)
  end
end

-- It is not taken back any more.
local function keep_dropped_batch(drop)
  local name, conv = drop.name, drop.conv
  if conv.superseded then
    -- include: keep_batch
  end
end

-- Announce it in any case: a dispatcher may have dispatched the hash that is now an alias.
local function wake_kept(keep)
  call('ZREM', key('idle'), keep.name)
  if paused(keep.conv) and keep.conv.pause_mode == 'takeover' then
    discard_window(keep.name, keep.conv, 'takeover')
    stop_batches(keep.name, keep.conv, 'takeover')
  end
  if not keep.conv.flush_id then
    rearm(keep.name, keep.conv)
  end
  wake_announce()
end

-- The wake entry is written first (docs/invariants.md#11).
local function merge(keep, drop, limits)
  call('ZADD', key('wake'), 'NX', now_ms, keep.name)
  move_window(keep, drop, limits)
  keep_dropped_batch(drop)
  move_redrive(keep, drop)
  move_seen(keep, drop)
  move_pending_changes(keep, drop)
  move_memory(keep, drop)
  move_fields(keep, drop)
  forget_dropped(drop)
  for i = 1, #(drop.conv.aliases or ''), 16 do
    set_alias(string.sub(drop.conv.aliases, i, i + 15), keep.name, keep.conv)
  end
  set_alias(drop.name, keep.name, keep.conv)
  wake_kept(keep)
end

-- Return the conversation that stays. `name` and `alias` must be resolved. Keep the one that exists, or else the one
-- that has a batch, or else `name`.
local function merge_conversations(name, alias, limits)
  if name == alias then
    return name
  end
  local conv, alias_conv = read_conv(name), read_conv(alias)
  if (alias_conv.ref and not conv.ref) or (alias_conv.flush_id and not conv.flush_id) then
    name, conv, alias, alias_conv = alias, alias_conv, name, conv
  end
  if alias_conv.ref then
    merge(load_side(name, conv), load_side(alias, alias_conv), limits)
  else
    set_alias(alias, name, conv)
  end
  return name
end
