-- own_message: find out whether a message from our own number is a part that we sent. If not, do as its keyword says, or
-- pause the conversation, because a human of ours has answered (docs/invariants.md#15).
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 partition   4 gateway   5 channel   6 peer   7 tag of the channel
--          8 fingerprint of its id   9 fingerprint of an id or mark of ours in it   10 print of its text ('' = none each)
--          11 'resume' | 'take' | '': what its keyword asks for   12 pause_ms of 'take'
--          13 pause_ms, if a message that is none of ours is a human's word; else 0
-- returns  'ours' | 'human' (paused) | 'resumed' | 'taken' (paused) | 'foreign' (nothing changed)
-- touches  wake idle history tally channels alias · conv buffer batch timer lock media · sent doubt doubted

-- include: alias
-- include: entry
-- include: tally_at_once
-- include: buckets
-- include: history
-- include: record_discard
-- include: window
-- include: batch
-- include: parts
-- include: stop
-- include: takeover
-- include: sent
-- include: read

local ECHO_MAX_MS = 3600000 -- an echo comes at once, or when its gateway delivers the webhook again
local name, tag, text_print, action = resolve(ARGV[2]), ARGV[7], ARGV[10], ARGV[11]
local conv = read_conv(name)
local NO_PRINT = string.rep('\0', PRINT_SIZE)

local function is_ours_by_id()
  local holder, part = find_sent(tag, ARGV[8], ARGV[9])
  if holder then
    note_evidence(holder, read_conv(holder), part)
  end
  return holder
end

local function is_sending(holder_conv)
  return holder_conv.sending_ms and not holder_conv.sending_seen
    and print_of(holder_conv, number(holder_conv, 'next_part')) == text_print
end

-- The gateway may deliver the same echo again: then its id tells.
local function recognise(holder, holder_conv, part)
  remember_sent(ARGV[8], tag, holder, part)
  note_evidence(holder, holder_conv, part)
  return true
end

-- Return the part in doubt of a conversation that has the same text and is not older than an echo can be, or nil.
local function doubt_like(holder_conv)
  for doubt_id in string.gmatch(holder_conv.doubts or '', '%S+') do
    local prints, part = unpack(read('HMGET', key('doubted', doubt_id), 'prints', 'number') or {})
    local since_ms = tonumber(read('ZSCORE', key('doubt'), doubt_id)) or 0
    if prints and now_ms - since_ms <= ECHO_MAX_MS and print_of({ prints = prints }, tonumber(part)) == text_print then
      return doubt_id
    end
  end
end

local function is_ours_by_text()
  if text_print == '' or text_print == NO_PRINT then
    return false
  end
  local holders = { [name] = conv }
  for i = 1, #(conv.aliases or ''), 16 do
    local alias = sub(conv.aliases, i, i + 15)
    holders[alias] = read_conv(alias)
  end
  for holder, holder_conv in pairs(holders) do
    if is_sending(holder_conv) then
      return recognise(holder, holder_conv, part_id(holder_conv))
    end
  end
  for holder, holder_conv in pairs(holders) do
    local part = doubt_like(holder_conv) or take_text(holder, text_print)
    if part then
      return recognise(holder, holder_conv, part)
    end
  end
  return false
end

local function take_over(pause_ms, result)
  wake_set(name, tonumber(call('ZSCORE', key('wake'), name)) or now_ms + pause_ms)
  introduce(name, conv, ARGV[3], ARGV[4], ARGV[5], ARGV[6])
  pause_conversation(name, conv, now_ms + pause_ms, 'takeover')
  tally(conv, 'takeovers', 1)
  return result
end

allow_writes_when_full()
if is_ours_by_id() or is_ours_by_text() then
  return 'ours'
elseif action == 'resume' then
  resume_conversation(name, conv)
  return 'resumed'
elseif action == 'take' then
  return take_over(tonumber(ARGV[12]), 'taken')
elseif tonumber(ARGV[13]) > 0 then
  return take_over(tonumber(ARGV[13]), 'human')
end
return 'foreign'
