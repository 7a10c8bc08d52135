-- Merges two conversations of the person whose message is appended. Few messages merge: the functions of this file are made
-- only for those, not in every call. Needs the variables of append.lua.

-- Merge with the conversation `other`: that of the alias, or, for a twin, the one that brought this message under another
-- name. The conversations of this call are written before one of them moves.
local function merge_with(other, is_twin)
  -- include: damage
  -- include: entry

  -- include: tally_at_once
  -- include: buckets
  -- include: history
  -- include: record_discard
  -- include: window
  -- include: batch
  -- include: stop
  -- include: merge
  -- include: ids
  write_conversations()
  other = resolve(other)
  if is_twin and not is_twin_of(name, other, peer, fingerprint, dedupe_ttl_ms) then
    return
  elseif other ~= name and (damage(name) or damage(other)) then
    convs[name] = BROKEN
    add(repairs, now_ms, name)
    add(repairs, now_ms, other)
    return
  end
  local limits = { max_wait_ms = max_wait_ms, max_messages = max_messages, max_bytes = max_bytes,
                   dedupe_ttl_ms = dedupe_ttl_ms, rules = rules }
  name, has_aliases = merge_conversations(name, other, limits), true
  if is_twin and is_phone(peer) then
    call('HSET', CONV .. name, 'peer', peer)
  end
end
