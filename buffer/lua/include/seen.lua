-- The memory of message ids: one string per conversation, oldest first, 16 bytes per id:
-- fingerprint (8 bytes) · seconds since the epoch (4, unsigned) · nonce of the request that brought it (4).

local SEEN_RECORD = 16
local SEEN_EXACT = 512 -- up to here it is written anew each time: a string that grows reserves as much again
local NOW = struct.pack('>I4', math.ceil(now_ms / 1000))

local function seconds_at(seen, at)
  return (struct.unpack('>I4', seen, at + 8))
end

-- The nonce under which a fingerprint is remembered, or nil; records older than the memory do not count.
local function remembered(seen, fingerprint, ttl_ms)
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

local function record_of(fingerprint, nonce)
  return fingerprint .. NOW .. nonce
end

-- Remember new records too, and no longer those that are too old; what is to be set goes into `memories`.
local function memorise(name, seen, records, ttl_ms, memories)
  local keep = 1
  while keep <= #seen and seconds_at(seen, keep) * 1000 + ttl_ms < now_ms do
    keep = keep + SEEN_RECORD
  end
  if keep > 1 or #seen < SEEN_EXACT then
    local at = #memories
    memories[at + 1], memories[at + 2] = key('seen', name), sub(seen, keep) .. records
  else
    call('APPEND', key('seen', name), records)
  end
end

-- Two memories as one, oldest first, each id once: as it came last, or it would be forgotten too early.
local function merge_seen(first, second)
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
