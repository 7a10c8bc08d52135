-- Adds the message that is appended to the open burst of its conversation, as include/write.lua will write it.
-- Needs `alias`, and the variables of append.lua.

-- Return why this message closes the burst at once, or nil.
local function firing(depth, bytes)
  local KEYWORD = 1 -- include/entry.lua has the flags
  if single then
    return 'disabled'
  elseif flags % 2 == KEYWORD then
    return 'keyword'
  elseif depth >= max_messages then
    return 'max_messages'
  elseif bytes >= max_bytes then
    return 'max_bytes'
  end
end

-- A deadline that has fired never moves. Nor does its wake entry: the conversation may be dispatched already.
local function schedule(conv, deadline_ms, fired_before)
  if conv.is_busy or fired_before then
    add(repairs, fired_before and deadline_ms or now_ms, name)
  elseif conv.paused_until_ms and paused(conv) then
    add(wakes, number(conv, 'paused_until_ms'), name)
  else
    local at = #wakes
    wakes[at + 1], wakes[at + 2] = deadline_ms, name
    if deadline_ms < nearest_ms then
      nearest_ms = deadline_ms
    end
  end
end

-- Change a field of the conv hash; it is written together with the window.
local function change(conv, field, value)
  conv[field] = value
  conv.changes = conv.changes or {}
  add(conv.changes, field, value)
end

local function update_identity(conv)
  if not conv.peer then
    local has_name = sender ~= '' and sender ~= conv.name
    conv.peer = peer
    if has_name then
      conv.name = sender
    end
    conv.changes = { 'ref', partition .. '-' .. name, 'gateway', sub(record, at_gateway, at_channel - 2),
                     'channel', sub(record, at_channel, at_peer - 1), 'peer', peer,
                     has_name and 'name' or nil, has_name and sender or nil }
    return
  elseif peer ~= conv.peer and (is_phone(peer) or not is_phone(conv.peer)) then
    change(conv, 'peer', peer)
  end
  if sender ~= conv.name and sender ~= '' then
    change(conv, 'name', sender)
  end
end

-- Return the code by which the message that is added is counted: the gap before it, whether or not a flush lay between, for
-- by these the window is chosen; and what it tells of the turn. Bucket i has the upper bound 250 ms * 480 ^ (i / 23). A
-- message that opens a burst within a turn shows that the window was too short.
-- Has the person read an answer since, it is the bucket up to whose end they had not gone on. Nobody knows whether they would
-- have. A part of a bucket counts by chance, so that on the whole it is that part. So is a gap that only a hold has let us
-- see, for only who goes on is held: it is known up to the moment at which an answer would have been read.
local function code_in_turn(conv)
  local NO_GAP, BEGINS_TURN = 31, 32 -- include/fold.lua has the codes
  local last_ms, flags = conv.last_ms, conv.flags or 0
  if not last_ms then
    return NO_GAP + BEGINS_TURN
  end
  local GAP_MAX_MS, GAP_FIRST_MS, GAP_STEPS_PER_E = 120000, 250, 23 / 6.173786103901937 -- the last is the log of 480
  local TURN_GAP_MS = 60000 -- who writes later than this begins a new turn
  local TURN_SPLIT, HELD = 1, 2 -- flags of the burst: its turn was split before; include/prelude.lua has them
  local HELD_SEEN_MS = 7000 -- from the end of a window to the reading of the answer, with an agent that takes 4 s
  local SPLITS, SPLITS_FIRST = 64, 128
  local READ_MAX, HELD_BACK = 20, 96 -- the last bucket up to which nobody had gone on; its code within a turn
  local read_ms = conv.read_ms
  local gap_ms, gap, silent_ms = now_ms - last_ms, NO_GAP, read_ms and read_ms - last_ms
  if not silent_ms and conv.opened_ms and flags % 4 >= HELD and gap_ms > conv.window_ms + HELD_SEEN_MS then
    silent_ms = conv.window_ms + HELD_SEEN_MS
  end
  if silent_ms then
    gap = math.floor(max(0, GAP_STEPS_PER_E * math.log(silent_ms / GAP_FIRST_MS)) + now_ms % 64 / 64)
    gap = gap <= READ_MAX and gap or NO_GAP
  elseif gap_ms <= GAP_FIRST_MS then
    gap = 0
  elseif gap_ms <= GAP_MAX_MS then
    gap = math.ceil(GAP_STEPS_PER_E * math.log(gap_ms / GAP_FIRST_MS))
    gap = gap <= 23 and gap or 23
  end
  if conv.opened_ms and gap_ms <= TURN_GAP_MS and not read_ms then
    return silent_ms and gap + HELD_BACK or gap
  end
  local is_split = flags % 2 == TURN_SPLIT
  if read_ms or gap_ms > TURN_GAP_MS then
    conv.read_ms, conv.flags = nil, is_split and flags - TURN_SPLIT or flags
    return gap + BEGINS_TURN
  elseif is_split then
    return gap + SPLITS
  end
  conv.flags = flags + TURN_SPLIT
  return gap + SPLITS + SPLITS_FIRST
end

-- Add the message to the open burst, or open one. `edit` is the edit that came before the message, or nil.
local function add_to_burst(conv, edit)
  local TIMED, BODY_HEADER, ALONE = 4, 13, 30 -- include/entry.lua has the flags, include/fold.lua the codes
  local body = sub(record, at_body)
  if edit then
    body = body .. '\n' .. sub(edit, 2)
  end
  local payload_bytes = #body - BODY_HEADER
  if restarts_max > 0 and conv.is_busy and not conv.sealed then
    -- include: supersede
  end
  local depth, bytes = conv.depth + 1, conv.bytes + payload_bytes
  local quiet_ms = window_ms
  if conv.habits then
    -- include: own_window
  end
  if first_ms and not (conv.opened_ms or conv.is_busy) then
    local FIRST_WINDOW = 2 -- include/prelude.lua has the reasons
    quiet_ms, why = first_ms, FIRST_WINDOW
  end
  if typing_ms and typing_ms < quiet_ms then
    -- include: typing_window
  end
  if quiet_ms > WINDOW_MAX_MS then
    quiet_ms = WINDOW_MAX_MS
  end
  local deadline_ms, longest_ms = now_ms + quiet_ms, (conv.opened_ms or now_ms) + max_wait_ms
  if deadline_ms > longest_ms then
    deadline_ms = longest_ms
  end
  local fired = conv.fired
  if fired then
    deadline_ms = conv.deadline_ms
  else
    fired = firing(depth + (conv.sealed or 0), bytes + (conv.sealed_bytes or 0))
    deadline_ms = fired and now_ms or deadline_ms
  end
  schedule(conv, deadline_ms, conv.fired)
  local entry = (flags >= TIMED and order or RECEIVED) .. RECEIVED .. body
  if not conv.entry then
    conv.entry = entry
  else
    conv.more = conv.more or {} -- most calls bring one message for a conversation: only a second one needs a table
    conv.more[#conv.more + 1] = entry
  end
  if at_body > at_media then
    conv.media = conv.media or {}
    add(conv.media, fingerprint, sub(record, at_media, at_body - 1))
  end
  local code = single and ALONE or code_in_turn(conv)
  if not conv.opened_ms then
    conv.opened_ms = now_ms
    if conv.peer then
      conv.was_idle = true
    end
  end
  if peer ~= conv.peer or sender ~= conv.name then
    update_identity(conv)
  end
  conv.depth, conv.bytes, conv.deadline_ms, conv.last_ms, conv.window_ms, conv.why = depth, bytes, deadline_ms, now_ms,
    quiet_ms, why
  if fired or rules or conv.rules then
    conv.fired, conv.rules = fired, rules
  end
  return 'new', deadline_ms, depth, code
end
