-- What ended, newest first, bounded: survives restarts, never grows.

local HISTORY_MAX = 1000

local function remember(entry)
  entry.ended_ms = now_ms
  redis.call('LPUSH', key('history'), cjson.encode(entry))
  redis.call('LTRIM', key('history'), 0, HISTORY_MAX - 1)
end
