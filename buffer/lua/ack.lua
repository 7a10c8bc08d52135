-- ack: the agent accepted batches; they are done, and the next bursts of their conversations may go.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   then three for each conversation: its hash · token · pause_ms of a hand-over to a human
--          (0 = none)
-- returns  one for each conversation: 'ok' | 'lost' | 'cancelled' | 'broken' (its keys cannot be read);
--          a repeated ack returns the same as the first
-- touches  wake idle history counters alias · conv buffer batch timer lock media sick
--
-- A late ack succeeds while its token is still the current one, even if its lease is over.

-- include: history
-- include: batch
-- include: fence
-- include: guard

local acked = {}

-- The agent gives the conversation to a human: what has been said meanwhile is discarded, as by a takeover.
local function hand_over(name, conv, pause_ms)
  -- include: alias
  -- include: entry
  -- include: window
  -- include: stop
  -- include: takeover
  local kept = resolve(name)
  pause_conversation(kept, kept == name and conv or read_conv(kept), now_ms + pause_ms, 'takeover')
end

local function ack(name, token, pause_ms)
  local conv = read_conv(name)
  local refused = fenced(conv, token)
  if refused then
    return refused
  end
  allow_writes_when_full()
  local cancelled = conv.cancelled
  rearm(name, conv)
  if cancelled then
    discard_batch(name, conv, cancelled)
  else
    local record = summary(name, conv, 'acked')
    forget_batch(name, conv)
    acked[#acked + 1] = record
    if pause_ms > 0 then
      hand_over(name, conv, pause_ms)
    end
  end
  return keep_outcome(name, token, cancelled and 'cancelled' or 'ok')
end

local function record_acked()
  history_push(unpack(acked))
  count('acked', #acked)
end

local replies = {}
for i = 2, #ARGV, 3 do
  table.insert(replies, guarded(ack, ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])) or 'broken')
end
guarded(record_acked)
return replies
