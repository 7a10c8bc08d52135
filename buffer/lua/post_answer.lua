-- post_answer: keep the answer that an agent posts for a batch that it has taken, and make the batch due.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash, from the flush_id   3 flush_id   4 content type   5 the answer, as it was posted
-- returns  'stored' (also for a repeated call) | 'other' (it has another answer) | 'early' (the call to the agent has not
--          ended) | 'unknown' (nothing waits for it: too late, discarded, taken back, or
--          answered otherwise)
-- touches  wake alias · conv
--
-- The first answer counts. The worker that claims the batch reads it as it reads any other answer. It is taken also for a
-- batch whose call broke off, and that waits to be tried again: the agent has run.

-- include: alias

local flush_id, content_type, answer = ARGV[3], ARGV[4], ARGV[5]

local POSTED_MAX = 4 -- flushes of a conversation whose posted answers are remembered, for repeated calls

-- Was the answer of this flush posted before?
local function is_posted(conv)
  return string.find(' ' .. (conv.posted_for or '') .. ' ', ' ' .. flush_id .. ' ', 1, true)
end

-- Return the flushes whose answers were posted, with this one as the last.
local function with_flush(conv)
  local kept = { flush_id }
  for id in string.gmatch(string.reverse(conv.posted_for or ''), '%S+') do
    if #kept < POSTED_MAX then
      table.insert(kept, 1, string.reverse(id))
    end
  end
  return table.concat(kept, ' ')
end

-- Return the conversation whose batch it is: a dead letter that was redriven may be under the name that has stayed.
local function holder()
  local kept = resolve(ARGV[2])
  for _, name in ipairs({ ARGV[2], kept }) do
    local conv = read_conv(name)
    if conv.flush_id == flush_id or is_posted(conv) then
      return name, conv
    end
  end
end

local name, conv = holder()
if not name then
  return 'unknown'
elseif is_posted(conv) then
  return (conv.flush_id ~= flush_id or conv.posted == answer or not conv.posted) and 'stored' or 'other'
elseif conv.answer or conv.cancelled or conv.superseded then
  return 'unknown'
elseif leased(conv) then
  return 'early'
end
allow_writes_when_full()
wake_set(name, now_ms)
call('HSET', key('conv', name), 'posted', answer, 'posted_type', content_type, 'posted_for', with_flush(conv),
  'retry_at_ms', now_ms, 'awaited_ms', conv.awaited_ms or now_ms)
wake_announce()
return 'stored'
