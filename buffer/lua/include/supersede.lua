-- A message comes while a batch is under way: take the batch back if the person has got nothing of its answer. The batch is
-- marked here; the next script that its worker or a claim calls puts its messages back (include/rejoin.lua).
-- Sets conv.sealed and conv.sealed_bytes: what the batch adds to the open burst, 0 if it stays. The burst counts its longest
-- wait from the first message of the batch. Needs the variables of append.lua.
--
-- The mark, the field `superseded`: now_ms (6 bytes, unsigned) · messages of the batch (4) · their bytes (4) · the rules of
-- the route, or nothing (include/rules.lua has the layout)

local marked, span, token, lease_until_ms, cancelled, sending_ms, part_since_ms, next_part, answered, posted, supersedes,
  crashes, redriven, is_left = unpack(call('HMGET', CONV .. name, 'superseded', 'span', 'token', 'lease_until_ms',
    'cancelled', 'sending_ms', 'part_since_ms', 'next_part', 'answered', 'posted_type', 'supersedes', 'crashes',
    'redriven', 'is_left'))
conv.sealed, conv.sealed_bytes = 0, 0
if span and #span > ACKED_SPAN then
  local opened_ms = min(conv.opened_ms or now_ms, (struct.unpack('>I6', span, 7)))
  -- The first request for a part is the moment of no return, and so is an answer that has no part.
  local is_begun = sending_ms or part_since_ms or (next_part or '1') ~= '1' or answered and not next_part
  if marked then
    conv.sealed, conv.sealed_bytes = struct.unpack('>I4I4', marked, 7)
    conv.opened_ms = opened_ms
  elseif not (is_begun or single or cancelled or posted or redriven or is_left) and tonumber(crashes or 0) < 2
    and select(2, string.gsub(supersedes or '', '%S+', '')) < restarts_max and opened_ms + max_wait_ms > now_ms then
    local bytes, entries = 0, try('LRANGE', key('batch', name), 0, -1)
    for _, entry in ipairs(entries) do
      bytes = bytes + #entry - 25
    end
    if #entries > 0 and #entries + conv.depth < max_messages and bytes + conv.bytes + payload_bytes <= max_bytes then
      conv.sealed, conv.sealed_bytes, conv.opened_ms = #entries, bytes, opened_ms
      change(conv, 'superseded', struct.pack('>I6I4I4', now_ms, #entries, bytes) .. (rules or ''))
      if leased({ token = token, lease_until_ms = lease_until_ms }) then
        call('PUBLISH', key('wake'), name) -- its worker need not wait for the next renewal
      else
        add(wakes, now_ms, name)
        nearest_ms = now_ms
      end
    end
  end
end
