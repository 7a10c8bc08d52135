-- Puts the rules of the conversation in force that is claimed: those that its open burst carries, or else the arguments.
-- A burst carries rules if those of its route are not those of the environment. Its first byte is zero; then:
-- max_wait_ms (6 bytes, unsigned) · max_messages (4) · max_bytes (4) · 1 when every message is its own
-- flush (1) · separator (the rest)
-- Needs these variables of claim.lua: conv, rules, max_wait_ms, max_messages, max_bytes, single, separator.

if conv.rules then
  local alone, at
  max_wait_ms, max_messages, max_bytes, alone, at = struct.unpack('>I6I4I4B', conv.rules, 2)
  single, separator = alone == 1, sub(conv.rules, at)
else
  max_messages, max_bytes, max_wait_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
  separator, single = ARGV[7], ARGV[8] == '1'
end
rules = conv.rules
