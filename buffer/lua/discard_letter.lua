-- discard_letter: delete a dead letter and its messages, with a record. No agent will get them.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 flush_id   3 cause, for the record
-- returns  'ok' | 'unknown' (no such dead letter, or it was redriven and is a batch again)
-- touches  dead history tally channels · letter remains media
--
-- A redriven dead letter that waits for its claim may be discarded: the claim leaves out one without messages.

-- include: entry
-- include: tally_at_once
-- include: history
-- include: read

local flush_id, cause = ARGV[2], ARGV[3]
local letter, remains = key('letter', flush_id), key('remains', flush_id)
if not call('ZSCORE', key('dead'), flush_id) and call('EXISTS', letter) == 0 then
  return 'unknown'
end
allow_writes_when_full()
local died_under, has_inline_media, ref, gateway, channel, peer, reason, closed_ms, claims = unpack(
  read('HMGET', letter, 'conversation', 'has_media', 'ref', 'gateway', 'channel', 'peer', 'reason', 'closed_ms', 'claims')
  or {})
local messages = read('LLEN', remains) or 0
if died_under and has_inline_media then
  drop_media(died_under, read('LRANGE', remains, 0, -1) or {})
end
history_push('ref', ref or '', 'gateway', gateway or '', 'channel', channel or '', 'peer', peer or '',
  'flush_id', flush_id, 'reason', reason or '', 'outcome', 'discarded', 'cause', cause, 'messages', messages,
  'closed_ms', closed_ms or '', 'attempts', claims or '')
tally({ gateway = gateway, channel = channel }, 'messages_discarded', messages)
call('DEL', letter, remains)
call('ZREM', key('dead'), flush_id)
return 'ok'
