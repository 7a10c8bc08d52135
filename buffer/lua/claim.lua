-- claim: take the exclusive, timed right to deliver batches of conversations; seal the open bursts that are due.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 lease_ms   3 max_messages   4 max_bytes   5 window_ms   6 max_wait_ms   7 max_crashes
--          8 separator   9 '1' when every message is its own flush
--          then two for each conversation: its hash · the caller's random id
-- returns  one for each conversation, in order, until the reply is large (REPLY_MAX); the others were not touched:
--          { status, until_ms }: 'busy' (leased, or waiting to retry), 'early' (deadline moved), 'paused', 'empty'
--          { 'batch', token, flush_id, attempt, failures, reason, closed_ms, separator, answer or '', gateway,
--            channel, peer, name, then each message and its inline media or '' … }
-- touches  wake idle dead history counters alias · conv buffer batch timer lock redrive media · letter remains
--
-- The conv hash decides, not why we were called. A batch left by a dead worker is claimed again as it was
-- (invariant 4); a claim repeated with the same random id (lost reply) returns the same batch.

-- include: alias
-- include: entry
-- include: history
-- include: window
-- include: batch

local lease_ms, max_messages, max_bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local window_ms, max_wait_ms, max_crashes = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local separator, single = ARGV[8], ARGV[9] == '1'

local REPLY_MAX = 4 * 1024 * 1024 -- bytes of messages and inline media; somebody has to hold all of them at once
local carried = 0

local has_aliases = call('EXISTS', key('alias')) == 1

-- The conversation in hand, and fields of it that are still to be written.
local name, caller, conv, leader, changes

local function come_back(status, at_ms)
  go_on_when_full()
  wake(name, at_ms)
  return { status, at_ms }
end

local function set(fields)
  for field, value in pairs(fields) do
    conv[field] = value
    changes[#changes + 1] = field
    changes[#changes + 1] = value
  end
end

local function answer(batch)
  local reply = { 'batch', conv.token, conv.flush_id, number(conv, 'claims'), number(conv, 'failures'), conv.reason,
                  number(conv, 'closed_ms'), conv.separator, conv.answer or '', conv.gateway, conv.channel,
                  conv.sealed_peer, conv.sealed_name }
  for _, entry in ipairs(batch or call('LRANGE', key('batch', name), 0, -1)) do
    local media = has_media(entry) and call('HGET', key('media', name), fingerprint_of(entry)) or ''
    reply[#reply + 1] = entry
    reply[#reply + 1] = media
    carried = carried + #entry + #media
  end
  return reply
end

-- The lock mirrors the lease; one that outlived it by the injected clock is removed.
local function lock(token)
  if not call('SET', key('lock', name), token, 'NX', 'PX', lease_ms) then
    call('DEL', key('lock', name))
    lock(token)
  end
end

-- The wake entry comes first (invariant 11), as it is to be under a lease.
local function watch()
  go_on_when_full()
  wake(name, now_ms + lease_ms)
end

-- `batch` has the messages if they were sealed just now.
local function lease(batch)
  local fence = number(conv, 'fence') + 1
  local token = fence .. ':' .. caller
  set({ fence = fence, token = token, lease_until_ms = now_ms + lease_ms, claims = number(conv, 'claims') + 1 })
  call('HSET', key('conv', name), unpack(changes))
  lock(token)
  return answer(batch)
end

-- A holder that vanished is a crash; too many and the batch is dead: it would kill every worker in turn.
local function take_over()
  if conv.token then
    conv.crashes = number(conv, 'crashes') + 1
    call('HSET', key('conv', name), 'crashes', conv.crashes)
    redis.call('HDEL', key('conv', name), 'token')
    redis.call('DEL', key('lock', name))
    conv.token = nil
  end
  if conv.cancelled then
    drop_batch(name, conv, conv.cancelled)
  elseif number(conv, 'crashes') >= max_crashes then
    bury(name, conv, 'the worker died ' .. conv.crashes .. ' times with this batch')
  end
end

-- Serve a dead letter that was asked for again: same flush_id, same messages, attempts from the start.
local function revive()
  local flush_id = redis.call('LPOP', key('redrive', name))
  while flush_id and redis.call('EXISTS', key('remains', flush_id)) == 0 do
    flush_id = redis.call('LPOP', key('redrive', name))
  end
  if redis.call('EXISTS', key('redrive', name)) == 0 then
    redis.call('HDEL', key('conv', name), 'redrive')
    conv.redrive = nil
  end
  if not flush_id then
    return false
  end
  local letter = redis.call('HMGET', key('letter', flush_id), 'reason', 'closed_ms', 'separator', 'name', 'peer',
    'has_media', 'answer', 'conversation')
  set({ flush_id = flush_id, reason = letter[1], closed_ms = letter[2], separator = letter[3],
        sealed_name = letter[4], sealed_peer = letter[5], claims = 0, failures = 0, crashes = 0 })
  for field, value in pairs({ has_media = letter[6], answer = letter[7] }) do
    if value then
      set({ [field] = value })
    end
  end
  redis.call('RENAME', key('remains', flush_id), key('batch', name))
  if conv.has_media and letter[8] ~= name then
    move_media(letter[8], name, redis.call('LRANGE', key('batch', name), 0, -1))
  end
  redis.call('DEL', key('letter', flush_id))
  redis.call('ZREM', key('dead'), flush_id)
  return true
end

-- A cut between two parts of an album, of which the second may be still on its way, moves before its first part, if
-- anything is left then.
local function whole_albums(entries, size)
  local album, behind = album_of(entries[size]), entries[size + 1]
  if album == NO_ALBUM or (behind and album ~= album_of(behind)) then
    return size
  end
  local first = size
  while first > 1 and album_of(entries[first - 1]) == album do
    first = first - 1
  end
  return first > 1 and first - 1 or size
end

-- How many of the entries one batch may carry: both caps hold, but one message always fits.
local function fitting(entries)
  local bytes = 0
  for i, entry in ipairs(entries) do
    bytes = bytes + size_of(entry)
    if i > 1 and (i > max_messages or bytes > max_bytes) then
      return whole_albums(entries, i - 1)
    end
  end
  local is_cut_short = conv.fired == 'max_messages' or conv.fired == 'max_bytes'
  return is_cut_short and whole_albums(entries, #entries) or #entries
end

local function closing_reason()
  if conv.fired then
    return conv.fired
  elseif number(conv, 'deadline_ms') >= number(conv, 'opened_ms') + max_wait_ms then
    return 'max_wait'
  end
  return 'quiet'
end

-- What did not fit is a new window, opened at its own first message.
local function reopen(entries, from)
  local bytes, keyword = 0, false
  for i = from, #entries do
    bytes = bytes + size_of(entries[i])
    keyword = keyword or keyword_of(entries[i])
  end
  local opened_ms = received_of(entries[from])
  local deadline_ms = math.min(received_of(entries[#entries]) + window_ms, opened_ms + max_wait_ms)
  local fired = single and 'disabled' or keyword and 'keyword' or #entries - from + 1 >= max_messages and 'max_messages'
    or bytes >= max_bytes and 'max_bytes'
  conv.opened_ms, conv.deadline_ms = opened_ms, fired and now_ms or deadline_ms
  conv.bytes, conv.depth, conv.fired = bytes, #entries - from + 1, fired or nil
  write_window(name, conv)
  redis.call('SET', key('timer', name), '', 'PX', math.max(1, conv.deadline_ms - now_ms))
end

local function in_order(entries, size)
  local places = {}
  for i = 1, size do
    places[i] = i
  end
  table.sort(places, function(a, b)
    local first, second = order_of(entries[a]), order_of(entries[b])
    return first < second or (first == second and a < b)
  end)
  for i, place in ipairs(places) do
    places[i] = entries[place]
  end
  return places
end

-- Everything follows the window, not the moment of sealing, and the flush_id everything that the agent will read:
-- a failover that rolls the seal back gives the same id with the same bytes again, or another id.
local function seal()
  local entries = redis.call('LRANGE', key('buffer', name), 0, -1)
  local size = fitting(entries)
  local reason, sealed_name, sealed_peer = closing_reason(), conv.name or '', conv.peer
  local batch, prints = in_order(entries, size), { reason, separator, sealed_peer, sealed_name }
  for _, entry in ipairs(batch) do
    table.insert(prints, fingerprint_of(entry) .. edit_of(entry))
    if not conv.has_media and has_media(entry) then
      set({ has_media = '1' })
    end
  end
  local closed_ms = math.max(number(conv, 'deadline_ms'), received_of(entries[size]))
  local generation = math.max(number(conv, 'generation') + 1, closed_ms)
  local digest = string.sub(redis.sha1hex(table.concat(prints, '\0')), 1, 12)
  for i = 1, size, 1000 do
    redis.call('RPUSH', key('batch', name), unpack(batch, i, math.min(i + 999, size)))
  end
  set({ flush_id = conv.ref .. '-' .. string.format('%d', generation) .. '-' .. digest, generation = generation,
        reason = reason, closed_ms = closed_ms, separator = separator, sealed_name = sealed_name, sealed_peer = sealed_peer,
        claims = 0, failures = 0, crashes = 0 })
  if size < #entries then
    redis.call('LTRIM', key('buffer', name), size, -1)
    reopen(entries, size + 1)
  else
    forget_window(name)
  end
  return batch
end

-- A batch that stayed with a name that leads elsewhere now is held with the person.
local function look()
  conv, changes = read_conv(name), {}
  leader = has_aliases and resolve(name) or name
  if leader ~= name then
    conv.paused_until_ms = redis.call('HGET', key('conv', leader), 'paused_until_ms') or nil
  end
end

local function claim()
  if conv.flush_id then
    if leased(conv) then
      if conv.token == conv.fence .. ':' .. caller then
        return answer()
      end
      return come_back('busy', number(conv, 'lease_until_ms'))
    elseif number(conv, 'retry_at_ms') > now_ms then
      return come_back('busy', number(conv, 'retry_at_ms'))
    end
    watch()
    take_over()
  end
  if paused(conv) and (conv.flush_id or leader == name) then
    return come_back('paused', number(conv, 'paused_until_ms'))
  end
  go_on_when_full()
  if conv.paused_until_ms then
    redis.call('HDEL', key('conv', name), 'paused_until_ms', 'pause_mode')
    conv.paused_until_ms = nil
  end
  if conv.flush_id then
    return lease()
  end
  watch()
  if conv.redrive and revive() then
    return lease()
  elseif not conv.opened_ms then
    redis.call('ZREM', key('wake'), name)
    if conv.ref then
      redis.call('ZADD', key('idle'), now_ms, name)
    end
    return { 'empty', 0 }
  elseif number(conv, 'deadline_ms') > now_ms then
    return come_back('early', number(conv, 'deadline_ms'))
  end
  return lease(seal())
end

local replies = {}
for i = 10, #ARGV, 2 do
  name, caller = ARGV[i], ARGV[i + 1]
  look()
  table.insert(replies, claim())
  if carried > REPLY_MAX then
    break
  end
end
return replies
