-- The gaps between two messages of a person, whether or not a flush lay between: by them an operator chooses the window.
-- The buckets have the upper bounds 0.25 s * 480 ^ (i / 23), i = 0 … 23: up to 120 s.
-- Needs these variables of append.lua: counts.

local GAP_MAX_MS, GAP_FIRST_MS, GAP_STEPS = 120000, 250, 23
local ANSWER_READ_MS = 3000 -- a message so soon after the ack was written before its person had read the answer

-- Return the gap, or nil: the person was silent for long, or had read an answer since.
local function gap_of(conv)
  local last_ms = conv.opened_ms and conv.last_ms or conv.last_sealed_ms
  if not last_ms or now_ms - last_ms > GAP_MAX_MS then
    return nil
  end
  local acked_ms = conv.acked_ms
  if acked_ms and acked_ms > last_ms and not conv.has_batch and now_ms - acked_ms > ANSWER_READ_MS then
    return nil
  end
  return max(0, now_ms - last_ms)
end

-- Count the gap before the message that is added. One that opens a new burst shows that the window was too short.
local function count_gap(conv)
  local gap_ms = gap_of(conv)
  if gap_ms then
    local step = math.ceil(GAP_STEPS * math.log(max(gap_ms, 1) / GAP_FIRST_MS) / math.log(GAP_MAX_MS / GAP_FIRST_MS))
    local bucket = 'gap:' .. max(0, min(GAP_STEPS, step))
    counts[bucket] = (counts[bucket] or 0) + 1
    counts['gap:sum'] = (counts['gap:sum'] or 0) + gap_ms
    if not conv.opened_ms then
      counts.bursts_split = (counts.bursts_split or 0) + 1
    end
  end
end
