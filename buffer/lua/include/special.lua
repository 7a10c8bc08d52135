-- Reads what few routes have, ARGV[7] of append.lua:
-- 1 when every message is its own flush (1 byte) · restarts_max, how often the batches of a burst are taken back (1; 0 =
-- never) · first_ms, the window after a burst's first message (6, all bits set: that of the message) · the rules that the
-- burst carries to its claim (include/rules.lua has the layout), or nothing
-- Needs these variables of append.lua: single, restarts_max, first_ms, rules.

local alone, at
alone, restarts_max, first_ms, at = struct.unpack('>BBI6', ARGV[7])
single = alone == 1
first_ms = first_ms < 2 ^ 48 - 1 and first_ms or nil
rules = at <= #ARGV[7] and sub(ARGV[7], at) or nil
