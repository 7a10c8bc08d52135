-- Reads what few routes have, ARGV[7] of append.lua:
-- 1 when every message is its own flush (1 byte) · restarts_max, how often the batches of a burst are taken back (1; 0 =
-- never) · own_min_ms, own_max_ms: the bounds of a contact's own window (4 each; 0 = windows do not find themselves) ·
-- first_ms, the window after a burst's first message (6, all bits set: that of the message) · typing_ms, the window of a
-- person whose typing was seen a short time ago (6, the same) · the rules that the burst carries to its claim
-- (include/rules.lua has the layout), or nothing
-- Needs these variables of append.lua: single, restarts_max, own_min_ms, own_max_ms, first_ms, typing_ms, rules.

local NO_WINDOW_MS = 2 ^ 48 - 1
local alone, at
alone, restarts_max, own_min_ms, own_max_ms, first_ms, typing_ms, at = struct.unpack('>BBI4I4I6I6', ARGV[7])
single = alone == 1
first_ms = first_ms < NO_WINDOW_MS and first_ms or nil
typing_ms = typing_ms < NO_WINDOW_MS and typing_ms or nil
rules = at <= #ARGV[7] and sub(ARGV[7], at) or nil
