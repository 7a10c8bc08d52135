-- The seen set of a conversation: its message ids. A record has 16 bytes:
-- fingerprint (8) · seconds since the epoch (4, unsigned) · nonce of the request that brought the message (4).
-- The string `seen` holds the records, oldest first. Beyond SEEN_MAX they move into slabs, which include/slabs.lua
-- describes, and the string is the mark of the slabs: SLABS_MARK and their number (3 bytes).

local SEEN_RECORD = 16
local SEEN_MAX = 4096 -- bytes. An append reads this much; beyond, it reads one slab
local NOW = struct.pack('>I4', math.ceil(now_ms / 1000))

local function seconds_at(seen, at)
  return (struct.unpack('>I4', seen, at + 8))
end

-- The steps that only a set with slabs needs. They are made for that one: a script makes all its functions in each call.
local function slabs_steps()
  -- include: slabs
  return { count = slabs_of, slab_for = slab_for, add = add_crowded, merge = merge_sets }
end

-- Return the nonce of a fingerprint that is in the set of a conversation, or nil. `seen` is the string of the set, or
-- some records. Records older than `ttl_ms` do not count.
local function seen_nonce(name, seen, fingerprint, ttl_ms)
  if #seen % SEEN_RECORD > 0 then
    seen = slabs_steps().slab_for(name, seen, fingerprint)
  end
  local from = 1
  while true do
    local at = string.find(seen, fingerprint, from, true)
    if not at then
      return nil
    end
    if (at - 1) % SEEN_RECORD == 0 and seconds_at(seen, at) * 1000 + ttl_ms >= now_ms then
      return string.sub(seen, at + 12, at + 15)
    end
    from = at + 1
  end
end

local function seen_record(fingerprint, nonce)
  return fingerprint .. NOW .. nonce
end

-- Add records to the set and drop those that are too old. A string that is to be written anew goes into `rewrites` as
-- key and value: the caller writes them all with one MSET.
local function seen_add(name, seen, records, ttl_ms, rewrites)
  local SEEN_EXACT = 512 -- bytes. Up to here the string is written anew: one that grows by APPEND reserves as much again
  if #seen >= SEEN_MAX or #seen % SEEN_RECORD > 0 then
    local at = #rewrites
    rewrites[at + 1], rewrites[at + 2] = key('seen', name), slabs_steps().add(name, seen, records, ttl_ms)
    return
  end
  local keep = 1
  while keep <= #seen and seconds_at(seen, keep) * 1000 + ttl_ms < now_ms do
    keep = keep + SEEN_RECORD
  end
  if keep > 1 or #seen < SEEN_EXACT then
    local at = #rewrites
    rewrites[at + 1], rewrites[at + 2] = key('seen', name), (keep > 1 and sub(seen, keep) or seen) .. records
  else
    call('APPEND', key('seen', name), records)
  end
end
