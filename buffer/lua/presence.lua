-- presence: the person is typing or recording, or has stopped; hold an open burst for them, or let it go.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 'typing' | 'stopped'   4 hold_ms (0 = typing holds nothing)
--          5 grace_ms   6 max_wait_ms   7 not '': note presence_ms (the route has a window for people whose typing is
--          seen)   8 not '': hold the first part of an answer, too
-- returns  the new deadline_ms, or 0 when it did not change (no open burst, it has fired, or nothing to hold or let go)
-- touches  wake alias · conv timer
--
-- Signals may be lost, late, doubled or out of order. None opens a burst, or moves a deadline past the longest wait or
-- before the window that the last message began. Only the first `stopped` after a `typing` has an effect.
--
-- Fields of the conv hash: presence_ms, the last signal, to NOTED_MS exactly · typing_until_ms, until when the first part of
-- an answer waits (begin_part.lua).

-- include: alias

local NOTED_MS = 10000
local HELD, LET_GO = 2, 8 -- flags of the burst; include/prelude.lua has the layout

local name, is_typing = resolve(ARGV[2]), ARGV[3] == 'typing'
local hold_ms, grace_ms, max_wait_ms = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local conv = read_conv(name)

local function has(flag)
  return bit.band(conv.flags, flag) ~= 0
end

-- Return the deadline and the flags after `typing`, or nil where nothing changes.
local function held()
  local deadline_ms = min(now_ms + hold_ms, conv.opened_ms + max_wait_ms)
  if hold_ms > 0 and deadline_ms > conv.deadline_ms then
    return deadline_ms, bit.band(bit.bor(conv.flags, HELD), 255 - LET_GO)
  end
end

-- The same after `stopped`. A deadline that is over, or that a message has set since, is not that of the hold.
local function let_go()
  local quiet_ms = conv.last_ms + conv.window_ms
  if has(HELD) and not has(LET_GO) and conv.deadline_ms > max(now_ms, quiet_ms) then
    return min(conv.opened_ms + max_wait_ms, max(quiet_ms, now_ms + grace_ms)), bit.bor(conv.flags, LET_GO)
  end
end

-- Return the new deadline, or 0.
local function move_deadline()
  if not conv.opened_ms or conv.fired then
    return 0
  end
  local deadline_ms, flags = (is_typing and held or let_go)()
  if not deadline_ms then
    return 0
  end
  if not conv.flush_id and not conv.redrive and not paused(conv) then
    wake_set_and_announce(name, deadline_ms)
  end
  conv.deadline_ms, conv.flags = deadline_ms, flags
  write_window(name, conv)
  call('SET', key('timer', name), '', 'PX', max(1, deadline_ms - now_ms))
  return deadline_ms
end

-- Note until when the first part of the answer waits. If it waits already, `stopped` ends that sooner.
local function hold_answer()
  local until_ms = now_ms + (is_typing and hold_ms or grace_ms)
  if not conv.flush_id or conv.superseded or conv.sending_ms or number(conv, 'next_part') > 1 then
    return
  elseif is_typing then
    call('HSET', key('conv', name), 'typing_until_ms', until_ms)
  elseif number(conv, 'typing_until_ms') > until_ms then
    if conv.typing_waited and conv.typing_waited == conv.retry_at_ms and not leased(conv) then
      wake_set_and_announce(name, until_ms)
      call('HSET', key('conv', name), 'typing_until_ms', until_ms, 'typing_waited', until_ms, 'retry_at_ms', until_ms)
    else
      call('HSET', key('conv', name), 'typing_until_ms', until_ms)
    end
  end
end

local deadline_ms = move_deadline()
if ARGV[8] ~= '' then
  hold_answer()
end
if ARGV[7] ~= '' and conv.ref and now_ms - number(conv, 'presence_ms') >= NOTED_MS then
  call('HSET', key('conv', name), 'presence_ms', now_ms)
end
return deadline_ms
