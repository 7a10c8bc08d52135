-- ack: the agent accepted batches; they are done, and the next bursts of their conversations may go.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   then two for each conversation: its hash · token
-- returns  one for each conversation: 'ok' | 'lost' | 'cancelled' | 'broken' (its keys cannot be read);
--          a repeated ack returns the same as the first
-- touches  wake idle history counters alias · conv batch lock media sick
--
-- A late ack succeeds while its token is still the current one, even if its lease is over.

-- include: history
-- include: batch
-- include: fence
-- include: guard

local acked = {}

local function ack(name, token)
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
  end
  return keep_outcome(name, token, cancelled and 'cancelled' or 'ok')
end

local function record_acked()
  history_push(unpack(acked))
  count('acked', #acked)
end

local replies = {}
for i = 2, #ARGV, 2 do
  table.insert(replies, guarded(ack, ARGV[i], ARGV[i + 1]) or 'broken')
end
guarded(record_acked)
return replies
