-- What ended, newest first, bounded: survives restarts, never grows.

local HISTORY_MAX = 1000

local function record(entry)
  entry.ended_ms = now_ms
  return cjson.encode(entry)
end

local function remember_all(records)
  if #records > 0 then
    call('LPUSH', key('history'), unpack(records))
    call('LTRIM', key('history'), 0, HISTORY_MAX - 1)
  end
end

local function remember(entry)
  remember_all({ record(entry) })
end
