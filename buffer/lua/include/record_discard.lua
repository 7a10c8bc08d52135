-- Records and counts that messages were discarded before they were sealed. Needs `tally` and `history`.

local function record_discard(conv, cause, messages, opened_ms)
  history_push({ ref = conv.ref, gateway = conv.gateway, channel = conv.channel, peer = conv.peer,
                 outcome = 'discarded', cause = cause, messages = messages, opened_ms = opened_ms })
  tally(conv, 'messages_discarded', messages)
end
