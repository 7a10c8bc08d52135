-- The history: a stream of the flushes, discards and parts that ended. It is bounded. A key of another type stops no script.
-- A record has the fields that apply of these: ref · gateway · channel · peer · flush_id · reason · outcome · cause ·
-- messages · span (include/seal.lua has its layout) · opened_ms (of a burst that was not sealed) · closed_ms · answered
-- (the time in ms, a blank, the fence) · ended_ms · superseded_ms (when it was taken back) · successor (the flush_id of the
-- flush that replaces it) · attempts · parts · next_part · doubts · part · error.

local HISTORY_MAX = 2000

-- Record an end: fields and their values in turn, in one flat list, because a table of them took far longer. Return the id
-- of the record, '' without one.
local function history_push(...)
  local reply = try('XADD', key('history'), 'MAXLEN', '~', HISTORY_MAX, '*', 'ended_ms', now_ms, ...)
  if is_set_aside(reply, 'history') then
    reply = try('XADD', key('history'), 'MAXLEN', '~', HISTORY_MAX, '*', 'ended_ms', now_ms, ...)
  end
  return type(reply) == 'string' and reply or ''
end
