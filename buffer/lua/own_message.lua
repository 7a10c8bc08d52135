-- own_message: find out whether a message from our own number is a part that we sent. If not, do as its keyword says, or
-- pause the conversation, because a human of ours has answered (docs/invariants.md#15).
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 partition   4 gateway   5 channel   6 peer   7 tag of the channel
--          8 fingerprint of its id   9 fingerprint of an id or mark of ours in it   10 print of its text ('' = none each)
--          11 'resume' | 'take' | '': what its keyword asks for   12 pause_ms of 'take'
--          13 pause_ms, if a message that is none of ours is a human's word; else 0
-- returns  'ours' | 'human' (paused) | 'resumed' | 'taken' (paused) | 'foreign' (nothing changed)
-- touches  wake idle history counters alias · conv buffer batch timer lock media · sent doubt doubted

-- include: alias
-- include: entry
-- include: history
-- include: window
-- include: batch
-- include: parts
-- include: stop
-- include: takeover
-- include: sent

local name, tag, text_print, action = resolve(ARGV[2]), ARGV[7], ARGV[10], ARGV[11]
local conv = read_conv(name)
local NO_PRINT = string.rep('\0', PRINT_SIZE)

-- The echo may come before the gateway's answer to our request.
local function see_sending(holder)
  call('HSET', key('conv', holder), 'sending_seen', '1')
  return true
end

local function is_ours_by_id()
  local holder, part = find_sent(tag, ARGV[8], ARGV[9])
  if not holder then
    return false
  end
  local holder_conv = read_conv(holder)
  if holder_conv.sending_ms and part_id(holder_conv) == part then
    return see_sending(holder)
  end
  resolve_doubt(part)
  return true
end

local function is_sending(holder_conv)
  return holder_conv.sending_ms and not holder_conv.sending_seen
    and print_of(holder_conv, number(holder_conv, 'next_part')) == text_print
end

-- Return the part in doubt of a conversation that has the same text, or nil.
local function doubt_like(holder_conv)
  for doubt_id in string.gmatch(holder_conv.doubts or '', '%S+') do
    local prints, part = unpack(call('HMGET', key('doubted', doubt_id), 'prints', 'number'))
    if prints and print_of({ prints = prints }, tonumber(part)) == text_print then
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
      return see_sending(holder)
    end
  end
  for _, holder_conv in pairs(holders) do
    local doubt_id = doubt_like(holder_conv)
    if doubt_id then
      return resolve_doubt(doubt_id)
    end
  end
  return false
end

local function take_over(pause_ms, result)
  wake_set(name, tonumber(call('ZSCORE', key('wake'), name)) or now_ms + pause_ms)
  introduce(name, conv, ARGV[3], ARGV[4], ARGV[5], ARGV[6])
  pause_conversation(name, conv, now_ms + pause_ms, 'takeover')
  count('takeovers', 1)
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
