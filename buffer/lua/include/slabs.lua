-- The slabs of a conversation that remembers many ids: the hash `slabs`, with the fields 0 … n-1. Each holds records
-- as include/seen.lua describes them, oldest first. The fingerprint of an id says in which one it lies.
-- A slab that has become too large makes one slab more: the next one in turn is split in two. So an append reads one
-- slab, and at most one in turn, however many ids there are. When ids have become too old, slabs are joined again.
-- Needs `seen`.

-- include: slabs_of

local SLAB_MAX = 1024 -- bytes. One that is larger makes one slab more
local SLAB_MIN = 128 -- bytes. One that an append leaves smaller makes one slab less: ids have become too old

-- Return the slab of a record or fingerprint, if there are so many slabs.
local function slab_at(record, slabs)
  local _, exponent = math.frexp(slabs)
  local number = struct.unpack('>I4', record)
  local at = number % 2 ^ exponent
  return at < slabs and at or number % 2 ^ (exponent - 1)
end

-- Return the slab that was split to make slab `at`.
local function parent_of(at)
  local _, exponent = math.frexp(at)
  return at - 2 ^ (exponent - 1)
end

-- Return a slab. Half a record at the end, which no script writes, is left out.
local function read_slab(name, at)
  local slab = redis.call('HGET', key('slabs', name), at) or ''
  return string.sub(slab, 1, #slab - #slab % SEEN_RECORD)
end

-- Return the slab of a fingerprint.
local function slab_for(name, seen, fingerprint)
  return read_slab(name, slab_at(fingerprint, slabs_of(name, seen) or 1))
end

local function write_slab(name, at, slab)
  redis.call('HSET', key('slabs', name), at, slab)
end

local function slabs_mark(slabs)
  return SLABS_MARK .. struct.pack('>I3', slabs)
end

-- Return the records that are not older than `ttl_ms`.
local function young(seen, ttl_ms)
  local at = 1
  while at <= #seen and seconds_at(seen, at) * 1000 + ttl_ms < now_ms do
    at = at + SEEN_RECORD
  end
  return string.sub(seen, at)
end

-- Return the records by the slab in which each lies: lists, in the order of the records.
local function by_slab(records, slabs)
  local lists = {}
  for i = 1, #records, SEEN_RECORD do
    local record = string.sub(records, i, i + SEEN_RECORD - 1)
    local at = slab_at(record, slabs)
    lists[at] = lists[at] or {}
    lists[at][#lists[at] + 1] = record
  end
  return lists
end

-- Merge two lists of records, oldest first. Of an id in both only the latest record stays: the earlier one expires too
-- early.
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

-- Write records into new slabs. Return their mark.
local function make_slabs(name, records)
  local slabs = math.ceil(2 * #records / SLAB_MAX)
  local lists = by_slab(records, slabs)
  redis.call('UNLINK', key('slabs', name))
  for at = 0, slabs - 1 do
    write_slab(name, at, table.concat(lists[at] or {}))
  end
  return slabs_mark(slabs)
end

-- Return the new number of slabs.
local function split_slab(name, slabs)
  local at = parent_of(slabs)
  local lists = by_slab(read_slab(name, at), slabs + 1)
  write_slab(name, slabs, table.concat(lists[slabs] or {}))
  write_slab(name, at, table.concat(lists[at] or {}))
  return slabs + 1
end

-- Join the last slab with the one that it was split from. Return the new number of slabs.
local function join_slab(name, slabs, ttl_ms)
  local last = slabs - 1
  local at = parent_of(last)
  write_slab(name, at, seen_merge(young(read_slab(name, at), ttl_ms), young(read_slab(name, last), ttl_ms)))
  redis.call('HDEL', key('slabs', name), last)
  return last
end

-- Add records to the slabs. Return the string for `seen`: their mark, or all records when they fit in one slab.
local function add_to_slabs(name, slabs, records, ttl_ms)
  local grows, shrinks = 0, false
  for at, list in pairs(by_slab(records, slabs)) do
    local grown = young(read_slab(name, at), ttl_ms) .. table.concat(list)
    write_slab(name, at, grown)
    grows = grows + (#grown > SLAB_MAX and 1 or 0)
    shrinks = shrinks or #grown < SLAB_MIN
  end
  for _ = 1, grows do
    slabs = split_slab(name, slabs)
  end
  if shrinks and grows == 0 and slabs > 1 then
    slabs = join_slab(name, slabs, ttl_ms)
  end
  if slabs == 1 then
    local only = read_slab(name, 0)
    redis.call('DEL', key('slabs', name))
    return only
  end
  return slabs_mark(slabs)
end

-- Add records to a set whose string is large or the mark of slabs. Return the string for `seen`.
local function add_crowded(name, seen, records, ttl_ms)
  local slabs = slabs_of(name, seen)
  if slabs then
    return add_to_slabs(name, slabs, records, ttl_ms)
  end
  local kept = young(seen, ttl_ms) .. records
  return #kept > SEEN_MAX and make_slabs(name, kept) or kept
end

-- Return the records of a set as strings, each oldest first; none has ids of two slabs, if there are `slabs` or more.
local function parts_of(name, seen, slabs)
  local parts = { not slabs and seen or nil }
  for at = 0, (slabs or 0) - 1 do
    parts[#parts + 1] = read_slab(name, at)
  end
  return parts
end

-- Merge the set of `drop` into that of `keep`; both are given with `name` and `seen`. Return the string for `seen`.
-- The set with fewer slabs goes into the other, slab by slab: each of its slabs holds whole slabs of the other.
local function merge_sets(keep, drop)
  local kept, dropped = slabs_of(keep.name, keep.seen), slabs_of(drop.name, drop.seen)
  if not kept and not dropped then
    local records = seen_merge(keep.seen, drop.seen)
    return #records > SEEN_MAX and make_slabs(keep.name, records) or records
  end
  local slabs, parts = kept, nil
  if (dropped or 0) > (kept or 0) then
    slabs, parts = dropped, parts_of(keep.name, keep.seen, kept)
    redis.call('RENAME', key('slabs', drop.name), key('slabs', keep.name))
  else
    parts = parts_of(drop.name, drop.seen, dropped)
  end
  for _, part in ipairs(parts) do
    for at, list in pairs(by_slab(part, slabs)) do
      write_slab(keep.name, at, seen_merge(read_slab(keep.name, at), table.concat(list)))
    end
  end
  return slabs_mark(slabs)
end
