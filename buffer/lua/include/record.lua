-- One message of an append call, as the client sends it: one string, because the client packs and sends one several
-- times faster than ten. Numbers are unsigned and big-endian.
--
--   offset  size  field
--        0    16  hash of the conversation
--       16    16  hash of the alias, blanks = none
--       32     4  nonce of the request
--       36     6  order_ms, if the flag TIMED is set
--       42    13  flags, album and fingerprint, as in a stored message (include/entry.lua)
--       55     4  tag of the channel, if message ids are unique in it, else zeros
--       59     6  window_ms of the message
--       65     1  why it is that (include/prelude.lua has the numbers)
--       66    20  lengths of the next five fields, 4 bytes each
--       86     …  gateway and a colon · channel · peer · sender's name · inline media · JSON payload
--
-- Sets the variables of append.lua for the message that is appended, from `record`.

name, alias, nonce, order, rest, tag, window_ms, why, at_channel, at_peer, at_sender, at_media, at_payload, at_gateway =
  struct.unpack('>c16c16c4c6c13c4I6BI4I4I4I4I4', record)
at_channel = at_gateway + at_channel
at_peer = at_channel + at_peer
at_sender = at_peer + at_sender
at_media = at_sender + at_media
at_payload = at_media + at_payload
flags, fingerprint = byte(rest), sub(rest, 6)
peer, sender = sub(record, at_peer, at_sender - 1), sub(record, at_sender, at_media - 1)
payload = sub(record, at_payload)
