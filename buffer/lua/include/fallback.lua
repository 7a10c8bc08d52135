-- Sends a person a fixed reply because their burst has died: a batch of its own that holds the answer alone, with the
-- flush_id `<flush_id>.0`, at most once an hour for a conversation. Needs `alias`, `read`, `redrive_letter`.

local FALLBACK_EVERY_MS = 3600000

-- `dead` is the conv of the batch as it was before it became a dead letter.
local function send_fallback(name, dead, answer, prints)
  local kept = resolve(name)
  local last_ms = tonumber(read('HGET', key('conv', kept), 'fallback_ms') or nil) or 0
  if dead.answer or now_ms - last_ms < FALLBACK_EVERY_MS then
    return
  end
  local id = dead.flush_id .. '.0'
  call('HSET', key('conv', kept), 'fallback_ms', now_ms)
  call('ZADD', key('dead'), now_ms, id)
  call('HSET', key('letter', id), 'flush_id', id, 'conversation', name, 'ref', dead.ref, 'gateway', dead.gateway,
    'channel', dead.channel, 'peer', dead.sealed_peer or dead.peer, 'name', dead.sealed_name or '', 'error', '',
    'died_ms', now_ms, 'messages', 0, 'reason', 'manual', 'closed_ms', now_ms, 'claims', 0,
    'separator', dead.separator or '', 'answer', answer, 'prints', prints, 'next_part', 1)
  redrive_letter(id)
end
