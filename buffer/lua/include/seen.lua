-- The seen set of a conversation: its message ids, one string, oldest first. A record has 16 bytes:
-- fingerprint (8) · seconds since the epoch (4, unsigned) · nonce of the request that brought the message (4).

local SEEN_RECORD = 16
local SEEN_EXACT = 512 -- bytes. Up to here the string is written anew: one that grows by APPEND reserves as much again
local NOW = struct.pack('>I4', math.ceil(now_ms / 1000))

local function seconds_at(seen, at)
  return (struct.unpack('>I4', seen, at + 8))
end

-- Return the nonce of a fingerprint that is in the set, or nil. Records older than `ttl_ms` do not count.
local function seen_nonce(seen, fingerprint, ttl_ms)
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

-- Add records to the set and drop those that are too old. A set that is to be written anew goes into `rewrites` as key
-- and value: the caller writes them all with one MSET.
local function seen_add(name, seen, records, ttl_ms, rewrites)
  local keep = 1
  while keep <= #seen and seconds_at(seen, keep) * 1000 + ttl_ms < now_ms do
    keep = keep + SEEN_RECORD
  end
  if keep > 1 or #seen < SEEN_EXACT then
    local at = #rewrites
    rewrites[at + 1], rewrites[at + 2] = key('seen', name), sub(seen, keep) .. records
  else
    call('APPEND', key('seen', name), records)
  end
end

-- Merge two sets, oldest first. Of an id in both only the latest record stays: the earlier one expires too early.
local function seen_merge(first, second)
  local parts, known, i, j = {}, {}, 1, 1
  while i <= #first or j <= #second do
    local record
    if j > #second or (i <= #first and seconds_at(first, i) <= seconds_at(second, j)) then
      record = string.sub(first, i, i + SEEN_RECORD - 1)
      i = i + SEEN_RECORD
    else
      record = string.sub(second, j, j + SEEN_RECORD - 1)
      j = j + SEEN_RECORD
    end
    local fingerprint = string.sub(record, 1, 8)
    if known[fingerprint] then
      parts[known[fingerprint]] = ''
    end
    table.insert(parts, record)
    known[fingerprint] = #parts
  end
  return table.concat(parts)
end
