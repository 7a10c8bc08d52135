-- ack: the agent accepted batches; they are done, and the next bursts of their conversations may go.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   then four for each conversation: its hash · token · pause_ms of a hand-over to a human
--          (0 = none) · agent_ms, how long the agent took ('' = unknown, or answered.lua has counted it)
-- returns  one for each conversation: 'ok' | 'lost' | 'cancelled' | 'superseded' (the person goes on, and the batch was taken
--          back) | 'broken' (its keys cannot be read); a repeated ack returns the same as the first
-- touches  wake idle history tally channels counters suspects alias · conv buffer batch timer lock media mark
--          memory sick
--
-- A late ack succeeds while its token is still the current one, even if its lease is over.

-- include: tally
-- include: buckets
-- include: history
-- include: batch
-- include: fence
-- include: guard

local acked = {}
local NO_SPAN = string.rep('\0', 26)

-- The agent gives the conversation to a human: what has been said meanwhile is discarded, as by a takeover.
local function hand_over(name, conv, pause_ms)
  -- include: alias
  -- include: entry
  -- include: record_discard
  -- include: window
  -- include: stop
  -- include: takeover
  local kept = resolve(name)
  pause_conversation(kept, kept == name and conv or read_conv(kept), now_ms + pause_ms, 'takeover')
end

local function ack(name, token, pause_ms, agent_ms)
  local conv = read_conv(name)
  local refused = fenced(conv, token)
  if refused then
    return refused
  end
  allow_writes_when_full()
  local cancelled = conv.cancelled
  if conv.superseded and not cancelled then
    -- include: rejoin
    -- include: take_back
    return take_back(name, conv)
  end
  rearm(name, conv)
  if cancelled then
    discard_batch(name, conv, cancelled)
  else
    if conv.new_memory then
      -- include: keep_memory
      keep_memory(name, conv.new_memory)
    end
    local record = summary(conv, 'acked', call('LLEN', key('batch', name)))
    forget_batch(name, conv)
    acked[#acked + 1] = { conv = conv, agent_ms = agent_ms, record = record }
    if pause_ms > 0 then
      hand_over(name, conv, pause_ms)
    end
  end
  if cancelled then
    return keep_outcome(name, token, 'cancelled')
  end
  local span = (conv.span or '') .. NO_SPAN
  return keep_outcome(name, token, 'ok', 'span', struct.pack('>c6I6', span, now_ms) .. sub(span, 26, 26))
end

local function record_acked()
  for _, flush in ipairs(acked) do
    history_push(unpack(flush.record))
    tally(flush.conv, 'acked', 1)
    if flush.agent_ms then
      tally(flush.conv, 'agent_ms' .. latency_bucket(flush.agent_ms), 1, 'agent_ms:sum', flush.agent_ms)
    end
  end
end

local replies = {}
for i = 2, #ARGV, 4 do
  table.insert(replies, guarded(ack, ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])) or 'broken')
end
guarded(record_acked)
-- include: write_tallies
return replies
