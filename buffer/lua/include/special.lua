-- Reads what few routes have, ARGV[8] of append.lua:
-- 1 when every message is its own flush (1 byte) · restarts_max, how often the batches of a burst are taken back (1 byte;
-- 0 = never) · first_ms, the window after a burst's first message (6 bytes) · the rules that the burst carries to its claim
-- (include/rules.lua has the layout), or nothing
-- Needs these variables of append.lua: single, restarts_max, first_ms, rules.

local alone, at
alone, restarts_max, first_ms, at = struct.unpack('>BBI6', ARGV[8])
single = alone == 1
rules = at <= #ARGV[8] and sub(ARGV[8], at) or nil
