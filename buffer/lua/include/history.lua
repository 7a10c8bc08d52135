-- The history: a stream of the flushes, discards and parts that ended. It is bounded. A key of another type stops no script.

local HISTORY_MAX = 2000
local HISTORY_FIELDS = { 'ref', 'gateway', 'channel', 'peer', 'flush_id', 'reason', 'outcome', 'cause', 'messages',
                         'opened_ms', 'last_ms', 'due_ms', 'closed_ms', 'claimed_ms', 'answered_ms', 'ended_ms',
                         'attempts', 'parts', 'next_part', 'doubts', 'arrivals', 'part', 'error' }

-- Record an end. Fields without a value are left out.
local function history_push(record)
  local flat = {}
  record.ended_ms = now_ms
  for _, field in ipairs(HISTORY_FIELDS) do
    local value = record[field]
    if value and value ~= '' then
      flat[#flat + 1] = field
      flat[#flat + 1] = value
    end
  end
  if is_set_aside(try('XADD', key('history'), 'MAXLEN', '~', HISTORY_MAX, '*', unpack(flat)), 'history') then
    try('XADD', key('history'), 'MAXLEN', '~', HISTORY_MAX, '*', unpack(flat))
  end
end

-- Record that messages of a conversation were discarded which were not sealed, and count them.
local function record_discard(conv, cause, messages, opened_ms)
  history_push({ ref = conv.ref, gateway = conv.gateway, channel = conv.channel, peer = conv.peer,
                 outcome = 'discarded', cause = cause, messages = messages, opened_ms = opened_ms })
  tally(conv, 'messages_discarded', messages)
end
