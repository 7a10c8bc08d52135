-- Appends the message of append.lua's variables to its conversation: sets status, deadline_ms and depth, and the code by
-- which it is counted, nil if it was resent. It stands in the loop itself, because a function with so many variables from
-- outside is dear to make.

if has_aliases or alias ~= NO_ALIAS then
  name = resolve(name)
end
local conv, known
local other, is_twin = alias ~= NO_ALIAS and alias, false
for _ = 1, 2 do -- the second time after a merge with the conversation that brought the message under another name
  if other then
    -- include: merge_names
    merge_with(other, is_twin)
  end
  conv = load_conversation()
  known = conv ~= BROKEN and (conv.seen ~= '' or conv.fresh) and find_nonce(conv)
  other, is_twin = not known and owners and owners[id], true
  if not other or other == name then
    break
  end
end
if conv == BROKEN or at_body > at_media and type(try('HLEN', key('media', name))) == 'table' then
  status, code = 'broken', 27
elseif not known and conv.depth >= max_pending then
  repair_wake(conv)
  status, deadline_ms, depth, code = 'full', conv.deadline_ms or 0, conv.depth, 28
elseif not known then
  status, deadline_ms, depth, code = append_new(conv)
else
  repair_wake(conv)
  status, deadline_ms, depth = known == nonce and 'new' or 'duplicate', conv.deadline_ms or 0, conv.depth
  code = known ~= nonce and 24 or nil
end
