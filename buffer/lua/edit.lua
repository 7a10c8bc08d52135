-- edit: the person changed a message; its text is replaced while it is still in the open burst.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 fingerprint of the message   4 edited_ms ('' = now)
--          5 JSON object with the fields to replace   6 dedupe_ttl_ms   7 partition   8 gateway   9 channel   10 peer
-- returns  'changed' | 'older' (a newer edit won) | 'late' (sealed already) | 'early' (kept until the message comes)
--          or an error with the code BROKEN and the kind of the damaged key
-- touches  idle counters alias · conv buffer batch seen slabs media mark redrive
--
-- Every call writes, if only a counter: WAIT and WAITAOF cover only the last write of their own connection.

-- include: entry
-- include: seen
-- include: damage
-- include: alias
-- include: pending_change

local name, fingerprint, edited_ms, patch = resolve(ARGV[2]), ARGV[3], tonumber(ARGV[4]) or now_ms, ARGV[5]
local damaged = damage(name)
if damaged then
  return broken_reply(name, damaged)
end
local conv = read_conv(name)
local edit = string.format('%013d', edited_ms) .. patch

-- Return true if `kept`, an earlier edit or nil, is newer. The newest edit wins, in whatever order they arrive.
local function newer(kept)
  return kept and tonumber(string.sub(kept, 1, 13)) > edited_ms
end

local place, entry = find_entry(name, fingerprint)
if place then
  local at = string.find(entry, '\n', ENTRY_HEADER + 1, true)
  if newer(at and string.sub(entry, at + 1)) then
    count('older_edits', 1)
    return 'older'
  end
  local changed = string.sub(entry, 1, at and at - 1 or -1) .. '\n' .. edit
  call('LSET', key('buffer', name), place, changed)
  if conv.opened_ms then
    conv.bytes = conv.bytes + #changed - #entry
    write_window(name, conv)
  end
  return 'changed'
end
local waits = goes_back(name, conv, fingerprint)
if not waits and seen_nonce(name, call('GET', key('seen', name)) or '', fingerprint, tonumber(ARGV[6])) then
  count('late_edits', 1)
  return 'late'
end
local pending_change = call('HGET', key('mark', name), fingerprint)
if pending_change and (pending_change == 'r' or newer(string.sub(pending_change, 2))) then
  count('older_edits', 1)
  return 'older'
end
keep_pending_change(name, conv, fingerprint, 'e' .. edit, {
  partition = ARGV[7], gateway = ARGV[8], channel = ARGV[9], peer = ARGV[10],
})
return waits and 'changed' or 'early'
