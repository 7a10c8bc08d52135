-- snapshot: return counts of a partition and its next conversations, for people and metrics.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 how many conversations, soonest first
-- returns  JSON { now_ms, pending, overdue, oldest_ms, idle, dead, counters, conversations: [ { ref, wake_ms, depth,
--          batch, gateway, channel, peer, name, opened_ms, deadline_ms, fired, flush_id, claims, paused_until_ms, sick } ] }
-- touches  wake idle dead counters · conv buffer batch (reads only)
--
-- A key that cannot be read stops nothing, and its entries count as none. Only the wake index must be whole.

-- include: read

local limit = tonumber(ARGV[2])
local first = call('ZRANGE', key('wake'), 0, 0, 'WITHSCORES')
local counters, flat = {}, read('HGETALL', key('counters')) or {}
for i = 1, #flat, 2 do
  local total = tonumber(flat[i + 1])
  if total and math.abs(total) < math.huge then -- JSON has no other
    counters[flat[i]] = total
  end
end
local rows = {}
if limit > 0 then
  local soonest = call('ZRANGE', key('wake'), 0, limit - 1, 'WITHSCORES')
  for i = 1, #soonest, 2 do
    local is_read, conv = pcall(read_conv, soonest[i])
    conv = is_read and conv or { sick = true }
    for _, field in ipairs({ 'token', 'done_token', 'answer', 'answered', 'separator', 'prints', 'span',
                             'posted', 'superseded', 'taken_back', 'new_memory' }) do
      conv[field] = nil -- bytes, or nobody's business
    end
    conv.wake_ms = tonumber(soonest[i + 1])
    conv.depth = conv.depth or 0
    conv.batch = conv.flush_id and call('TYPE', key('batch', soonest[i])).ok == 'list'
      and call('LLEN', key('batch', soonest[i])) or 0
    table.insert(rows, conv)
  end
end
local report = {
  now_ms = now_ms,
  pending = call('ZCARD', key('wake')),
  overdue = call('ZCOUNT', key('wake'), '-inf', now_ms),
  oldest_ms = first[2] and tonumber(first[2]) or nil,
  idle = read('ZCARD', key('idle')) or 0,
  dead = read('ZCARD', key('dead')) or 0,
}
report.counters = next(counters) and counters or nil
report.conversations = #rows > 0 and rows or nil
return cjson.encode(report)
