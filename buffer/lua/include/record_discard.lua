-- Records and counts that messages were discarded before they were sealed. Needs `tally` and `history`.

local function record_discard(conv, cause, messages, opened_ms)
  history_push('ref', conv.ref or '', 'gateway', conv.gateway or '', 'channel', conv.channel or '',
    'peer', conv.peer or '', 'outcome', 'discarded', 'cause', cause, 'messages', messages, 'opened_ms', opened_ms or '')
  tally(conv, 'messages_discarded', messages)
end
