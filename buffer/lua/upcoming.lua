-- upcoming: return a page of the wake index for RQ's dashboards: the conversations that wait for a moment.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 offset   3 limit
-- returns  now_ms · how many entries of the wake index were read · then eight for each conversation that waits:
--          hash · state · due_ms · messages · opened_ms ('' = no open burst) · gateway · channel · peer.
--          The states: 'open', 'retry', 'replying', 'redriven', 'paused'; lua/pending.lua says what they mean
-- touches  wake · conv batch redrive letter (reads only)
--
-- Left out: a batch in flight, and what dispatch has hidden, because RQ has a job for it. Few fields are read, since a
-- worker asks once a second. A key that cannot be read stops nothing.

-- include: read
-- include: state
-- include: waiting

local offset, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local page = limit > 0 and call('ZRANGE', key('wake'), offset, offset + limit - 1, 'WITHSCORES') or {}
local replies = { now_ms, #page / 2 }

local function add_row(name, wake_ms)
  local conv = read_fields(name)
  if not conv or not conv.gateway then
    return
  end
  local state, due_ms = state_of(name, conv, wake_ms)
  local is_dispatched = due_ms <= now_ms and wake_ms > now_ms
  if state == 'in_flight' or is_dispatched then
    return
  end
  local messages = (conv.depth or 0) + (conv.flush_id and read('LLEN', key('batch', name)) or 0)
  for _, value in ipairs({ name, state, due_ms, messages, conv.opened_ms or '', conv.gateway, conv.channel or '',
                           conv.peer or '' }) do
    replies[#replies + 1] = value
  end
end

for i = 1, #page, 2 do
  add_row(page[i], tonumber(page[i + 1]))
end
return replies
