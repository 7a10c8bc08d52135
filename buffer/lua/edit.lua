-- edit: the person changed a message; its text is replaced while it is still in the open burst.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 fingerprint of the message   4 edited_ms ('' = now)
--          5 JSON object with the fields to replace   6 dedupe_ttl_ms   7 partition   8 gateway   9 channel   10 peer
-- returns  'changed' | 'older' (a newer edit won) | 'late' (sealed already) | 'early' (kept until the message comes)
-- touches  idle counters alias · conv buffer seen mark
--
-- Every answer writes something, if only a counter: a wait for a replica or the disk must not be over at once.

-- include: entry
-- include: seen
-- include: alias
-- include: mark

local name, fingerprint, edited_ms, patch = resolve(ARGV[2]), ARGV[3], tonumber(ARGV[4]) or now_ms, ARGV[5]
local conv = read_conv(name)
local edit = string.format('%013d', edited_ms) .. patch

-- Whether `text` (an edit kept before, or nil) is newer; the newest edit wins, whenever it arrives.
local function newer(text)
  return text and tonumber(string.sub(text, 1, 13)) > edited_ms
end

local place, entry = find_entry(name, fingerprint)
if place then
  local at = string.find(entry, '\n', ENTRY_HEADER + 1, true)
  if newer(at and string.sub(entry, at + 1)) then
    count('older_edits', 1)
    return 'older'
  end
  local changed = string.sub(entry, 1, at and at - 1 or -1) .. '\n' .. edit
  redis.call('LSET', key('buffer', name), place, changed)
  conv.bytes = conv.bytes + #changed - #entry
  write_window(name, conv)
  return 'changed'
elseif remembered(redis.call('GET', key('seen', name)) or '', fingerprint, tonumber(ARGV[6])) then
  count('late_edits', 1)
  return 'late'
end
local mark = redis.call('HGET', key('mark', name), fingerprint)
if mark and (mark == 'r' or newer(string.sub(mark, 2))) then
  count('older_edits', 1)
  return 'older'
end
keep_mark(name, conv, fingerprint, 'e' .. edit, {
  partition = ARGV[7], gateway = ARGV[8], channel = ARGV[9], peer = ARGV[10],
})
return 'early'
