-- One message of an append call, as the client sends it: one string, because the client packs and sends one several
-- times faster than ten. Numbers are unsigned and big-endian.
--
--   offset  size  field
--        0    16  hash of the conversation
--       16    16  hash of the alias, blanks = none
--       32     4  nonce of the request
--       36     6  order_ms, if the flag TIMED is set
--       42    12  id: fingerprint (8) · tag of the channel (4), zeros unless message ids are unique in it
--       54     6  window_ms of the message
--       60     1  why it is that (include/prelude.lua has the numbers)
--       61    16  lengths of peer, sender's name, inline media, and gateway with its colon, 4 bytes each
--       77     3  length of gateway, colon and channel
--       80     …  gateway and a colon · channel · peer · sender's name · inline media · body: flags, album, fingerprint
--                 and payload, as in a stored message (include/entry.lua)
--
-- Sets the variables of append.lua for the message that is appended, from `record`.

name, alias, nonce, order, id, window_ms, why, at_sender, at_media, at_body, at_channel, at_peer, at_gateway =
  struct.unpack('>c16c16c4c6c12I6BI4I4I4I4I3', record)
at_channel, at_peer = at_gateway + at_channel, at_gateway + at_peer
at_sender = at_peer + at_sender
at_media = at_sender + at_media
at_body = at_media + at_body
flags, fingerprint = byte(record, at_body), sub(id, 1, 8)
peer, sender = sub(record, at_peer, at_sender - 1), sub(record, at_sender, at_media - 1)
