-- The history: flushes and discards that ended, newest first. It is bounded. A key of another type stops no script.

local HISTORY_MAX = 1000

local function history_push(...)
  local records = { ... }
  for i, entry in ipairs(records) do
    entry.ended_ms = now_ms
    records[i] = cjson.encode(entry)
  end
  if #records > 0 then
    if is_set_aside(try('LPUSH', key('history'), unpack(records)), 'history') then
      try('LPUSH', key('history'), unpack(records))
    end
    try('LTRIM', key('history'), 0, HISTORY_MAX - 1)
  end
end
