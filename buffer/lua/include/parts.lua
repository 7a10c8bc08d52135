-- The parts of the answer of a batch, which are sent to the person one after the other.
-- Needs `tally`, `history` and `buckets`.
--
-- Fields of the conv hash, gone with the batch:
--   answer         JSON that holds the parts; no script reads it
--   prints         the print of each part's text, 8 bytes each: by it an echo without an id of ours is recognised
--   next_part      number of the part that is sent next, from 1; after the last one when all are done
--   last_part      number of the last part, if it is not that of the last print: a part in doubt is sent again alone
--   sending_ms     since when the request of `next_part` may be on its way (docs/invariants.md#12)
--   sending_seen   the person has it: an echo came before the gateway's answer
--   part_since_ms  since when `next_part` is put back
--   slot_ms        the moment that a limit has kept for `next_part`
-- And for ever: person_tat_ms, the arrival time of the person's limit · doubts, `<flush_id>.<part>` of each part in doubt.

local PRINT_SIZE = 8
local SENDING_FIELDS = { 'sending_ms', 'sending_seen', 'part_since_ms', 'slot_ms' }

local function last_part(conv)
  return tonumber(conv.last_part) or #(conv.prints or '') / PRINT_SIZE
end

local function print_of(conv, part)
  return sub(conv.prints or '', PRINT_SIZE * (part - 1) + 1, PRINT_SIZE * part)
end

local function part_id(conv)
  return conv.flush_id .. '.' .. string.format('%d', number(conv, 'next_part'))
end

local function forget_sending(name, conv)
  call('HDEL', key('conv', name), unpack(SENDING_FIELDS))
  for _, field in ipairs(SENDING_FIELDS) do
    conv[field] = nil
  end
end

-- The batch has ended.
local function forget_parts(name, conv)
  forget_sending(name, conv)
  call('HDEL', key('conv', name), 'prints', 'next_part', 'last_part')
  conv.prints, conv.next_part, conv.last_part = nil, nil, nil
end

-- The part has ended: the next one is due.
local function advance(name, conv)
  forget_sending(name, conv)
  conv.next_part = number(conv, 'next_part') + 1
  call('HSET', key('conv', name), 'next_part', conv.next_part)
end

-- Keep a part as one in doubt. A repeat keeps it once.
local function note_doubt(name, conv, reason)
  local doubt_id = part_id(conv)
  local doubt = { 'conversation', name, 'ref', conv.ref, 'gateway', conv.gateway, 'channel', conv.channel,
                  'peer', conv.sealed_peer, 'name', conv.sealed_name, 'separator', conv.separator,
                  'answer', conv.answer, 'prints', conv.prints, 'number', number(conv, 'next_part'), 'reason', reason }
  if call('ZSCORE', key('doubt'), doubt_id) then
    return
  elseif is_set_aside(try('HSET', key('doubted', doubt_id), unpack(doubt)), 'doubted:' .. doubt_id) then
    call('HSET', key('doubted', doubt_id), unpack(doubt))
  end
  call('ZADD', key('doubt'), now_ms, doubt_id)
  conv.doubts = (conv.doubts and conv.doubts .. ' ' or '') .. doubt_id
  call('HSET', key('conv', name), 'doubts', conv.doubts)
  tally(conv, 'parts_in_doubt', 1)
end

-- Take a part in doubt out of the field `doubts` of a conversation.
local function drop_doubt(holder, doubt_id)
  local doubts, left = try('HGET', key('conv', holder), 'doubts'), {}
  for each in string.gmatch(type(doubts) == 'string' and doubts or '', '%S+') do
    left[#left + 1] = each ~= doubt_id and each or nil
  end
  if #left > 0 then
    call('HSET', key('conv', holder), 'doubts', table.concat(left, ' '))
  else
    try('HDEL', key('conv', holder), 'doubts')
  end
end

-- Forget a part in doubt. Return its fields, or nil if it is none. Its conversation may have become an alias since.
local function take_doubt(doubt_id)
  if call('ZREM', key('doubt'), doubt_id) == 0 then
    return nil
  end
  local flat, doubt = try('HGETALL', key('doubted', doubt_id)), {}
  for i = 1, #flat, 2 do
    doubt[flat[i]] = flat[i + 1]
  end
  call('DEL', key('doubted', doubt_id))
  local holder = doubt.conversation or ''
  local kept = try('HGET', key('alias'), holder)
  drop_doubt(holder, doubt_id)
  if type(kept) == 'string' then
    drop_doubt(kept, doubt_id)
  end
  return doubt
end

-- The evidence is there: a part in doubt was sent. Return true if it was in doubt.
local function resolve_doubt(doubt_id)
  local doubt = take_doubt(doubt_id)
  if doubt then
    tally(doubt, 'doubts_resolved', 1)
    tally(doubt, 'parts_sent', 1)
    return true
  end
end

-- Count the part that was sent. The first one ends the wait of the person.
local function count_sent(conv)
  tally(conv, 'parts_sent', 1)
  if number(conv, 'next_part') == 1 and #(conv.span or '') > 12 then
    local reply_ms = max(0, now_ms - struct.unpack('>I6', conv.span))
    tally(conv, 'reply_ms' .. latency_bucket(reply_ms), 1, 'reply_ms:sum', reply_ms)
  end
end

-- The person has a part: an echo or a status of it has come. One that is put back, or waits to be sent again, is done.
local function note_evidence(name, conv, part)
  if conv.flush_id and part_id(conv) == part then
    if conv.sending_ms then
      call('HSET', key('conv', name), 'sending_seen', '1')
    else
      count_sent(conv)
      advance(name, conv)
    end
  else
    resolve_doubt(part)
  end
end

-- A part whose worker is gone may have been sent: it is in doubt, unless an echo has come. With `again` it is sent once
-- more. Return the number of a part that is in doubt now, or 0.
local function settle_sending(name, conv, again)
  local part = number(conv, 'next_part')
  if conv.sending_seen then
    count_sent(conv)
    advance(name, conv)
  elseif again then
    forget_sending(name, conv)
    call('HSET', key('conv', name), 'part_since_ms', now_ms) -- it may have been sent: the batch is not taken back
  else
    note_doubt(name, conv, 'its worker died or lost its lease while the request was on its way')
    advance(name, conv)
    return part
  end
  return 0
end
