-- The history: a stream of the flushes, discards and parts that ended. It is bounded. A key of another type stops no script.

local HISTORY_MAX = 2000
local HISTORY_FIELDS = { 'ref', 'gateway', 'channel', 'peer', 'flush_id', 'reason', 'outcome', 'cause', 'messages',
                         'opened_ms', 'span', 'closed_ms', 'answered', 'ended_ms', 'attempts', 'parts', 'next_part',
                         'doubts', 'part', 'error' }

-- Record an end. Fields without a value are left out.
local function history_push(record)
  local flat, at = {}, 0
  record.ended_ms = now_ms
  for _, field in ipairs(HISTORY_FIELDS) do
    local value = record[field]
    if value and value ~= '' then
      flat[at + 1], flat[at + 2] = field, value
      at = at + 2
    end
  end
  if is_set_aside(try('XADD', key('history'), 'MAXLEN', '~', HISTORY_MAX, '*', unpack(flat)), 'history') then
    try('XADD', key('history'), 'MAXLEN', '~', HISTORY_MAX, '*', unpack(flat))
  end
end
