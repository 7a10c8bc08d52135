-- The history: flushes and discards that ended, newest first. It is bounded.

local HISTORY_MAX = 1000

local function history_record(entry)
  entry.ended_ms = now_ms
  return cjson.encode(entry)
end

local function history_push_records(records)
  if #records > 0 then
    call('LPUSH', key('history'), unpack(records))
    call('LTRIM', key('history'), 0, HISTORY_MAX - 1)
  end
end

local function history_push(entry)
  history_push_records({ history_record(entry) })
end
