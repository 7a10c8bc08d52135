-- pending: return a page of the wake index, for people: what each conversation waits for, and until when.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 offset   3 limit   then the conversations of the page instead of these two, if any
-- returns  now_ms · then eight for each conversation that waits, in the order of the wake index, or as named: state ·
--          due_ms · messages · gateway · channel · peer · ref · opened_ms of its open burst (0 = none). The states:
--          'open' (a burst that collects or is due), 'retry' (a batch between two attempts), 'in_flight', 'replying'
--          (parts of an answer wait), 'redriven' (a dead letter to deliver again), 'paused', 'broken' (its conv hash
--          cannot be read)
-- touches  wake · conv batch redrive letter (reads only)
--
-- due_ms does not come from the wake index, where dispatch hides what is due. A key that cannot be read stops nothing.

-- include: read
-- include: state
-- include: waiting

local function ref_of(name)
  return string.match(root, '{p(%d+)}:$') .. '-' .. name
end

local function row(name, wake_ms)
  local conv = read_fields(name)
  if not conv then
    return { 'broken', wake_ms, 0, '', '', '', ref_of(name), 0 }
  end
  local state, due_ms = state_of(name, conv, wake_ms)
  local messages = (conv.depth or 0) + (conv.flush_id and read('LLEN', key('batch', name)) or 0)
  return { state, due_ms, messages, conv.gateway or '', conv.channel or '', conv.peer or '', ref_of(name),
           conv.opened_ms or 0 }
end

local function named(first)
  local page = {}
  for i = first, #ARGV do
    local wake_ms = call('ZSCORE', key('wake'), ARGV[i])
    if wake_ms then
      page[#page + 1] = ARGV[i]
      page[#page + 1] = wake_ms
    end
  end
  return page
end

local offset, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local page = ARGV[4] and named(4) or limit > 0 and call('ZRANGE', key('wake'), offset, offset + limit - 1, 'WITHSCORES') or {}
local replies = { now_ms }
for i = 1, #page, 2 do
  for _, value in ipairs(row(page[i], tonumber(page[i + 1]))) do
    replies[#replies + 1] = value
  end
end
return replies
