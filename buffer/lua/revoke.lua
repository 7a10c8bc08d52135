-- revoke: the person deleted a message; it leaves the open burst, and an emptied burst is not flushed.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 fingerprint of the message   4 dedupe_ttl_ms   5 partition
--          6 gateway   7 channel   8 peer
--          then the fingerprints that other parts of the message may have
-- returns  'removed' | 'late' (sealed already) | 'early' (kept until the message comes)
--          or an error with the code BROKEN and the kind of the damaged key
-- touches  wake idle history tally channels counters alias · conv buffer batch seen slabs timer lock media mark redrive

-- include: alias
-- include: entry
-- include: tally_at_once
-- include: buckets
-- include: history
-- include: seen
-- include: damage
-- include: record_discard
-- include: window
-- include: batch
-- include: pending_change

local name, fingerprint = resolve(ARGV[2]), ARGV[3]
local damaged = damage(name)
if damaged then
  return broken_reply(name, damaged)
end
local conv = read_conv(name)
allow_writes_when_full()

local identity = { partition = ARGV[5], gateway = ARGV[6], channel = ARGV[7], peer = ARGV[8] }
local waits = false -- for its batch, which was taken back

-- Remove a message from the open burst. Return 1 if it was there, else 0.
local function remove(part)
  local place, entry = find_entry(name, part)
  if not place then
    if goes_back(name, conv, part) then
      waits = true
      keep_pending_change(name, conv, part, 'r', identity)
    end
    return 0
  end
  call('LSET', key('buffer', name), place, '')
  call('LREM', key('buffer', name), 1, '')
  if conv.opened_ms then
    conv.bytes, conv.depth = conv.bytes - size_of(entry), conv.depth - 1
    write_window(name, conv)
  end
  drop_media(name, { entry })
  return 1
end

local removed = remove(fingerprint)
for i = 9, #ARGV do
  removed = removed + remove(ARGV[i])
end
if removed > 0 then
  record_discard(conv, 'revoke', removed)
  if call('EXISTS', key('buffer', name)) == 0 then
    if conv.taken_back then
      local cause = 'revoke'
      -- include: end_taken_back
    end
    forget_window(name)
    conv.opened_ms = nil
    if not conv.flush_id then
      rearm(name, conv)
    end
  end
  return 'removed'
elseif waits then
  return 'removed'
elseif seen_nonce(name, call('GET', key('seen', name)) or '', fingerprint, tonumber(ARGV[4])) then
  count('late_revokes', 1)
  return 'late'
end
keep_pending_change(name, conv, fingerprint, 'r', identity)
for i = 9, #ARGV do
  keep_pending_change(name, read_conv(name), ARGV[i], 'r', identity)
end
return 'early'
