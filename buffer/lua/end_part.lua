-- end_part: note how the sending of a part ended.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   then ten for each conversation: its hash · token · number of the part · tag of its channel ·
--          'sent' | 'in_doubt' | 'later' | 'limited' (later, for the whole channel) | 'refused' | 'misconfigured' ·
--          flush_id · fingerprint of the id at the gateway ('' = unknown) · delay_ms until the next part, or until this
--          one is tried again · give_up_ms (0 = never) · the reason, for people
-- returns  one for each conversation: 'ok' (the lease stays) | 'later' (it is given back for delay_ms) | 'held' (it is
--          given back, and so are those of the channel) | 'dead' (the rest of the answer is a dead letter) | 'lost' |
--          'cancelled' | 'broken' (its keys cannot be read); a repeated call returns the same as the first
-- touches  wake idle dead history tally channels counters suspects alias · conv batch lock media · letter remains ·
--          rate held sent · doubt doubted · sick
--
-- The end of a part is noted even if the batch was cancelled meanwhile. A worker that has lost its lease still brings
-- evidence: a part that is in doubt was sent.

-- include: tally
-- include: buckets
-- include: history
-- include: batch
-- include: parts
-- include: sent
-- include: fence
-- include: give_back
-- include: guard

-- Note a part that has left, or may have.
local function note_left(name, conv, tag, ending)
  if ending.how == 'in_doubt' then
    note_doubt(name, conv, ending.reason)
  else
    if ending.id ~= '' then
      remember_sent(ending.id, tag, name, part_id(conv))
    elseif not conv.sending_seen then
      remember_text(name, print_of(conv, number(conv, 'next_part')), part_id(conv))
    end
    call('DEL', key('held', tag))
    count_sent(conv)
  end
  advance(name, conv)
end

local function go_on(name, conv, delay_ms)
  if delay_ms > 0 and conv.next_part <= last_part(conv) then
    return give_back(name, conv, now_ms + delay_ms, 'later')
  end
  return 'ok'
end

local function make_letter(name, conv, reason)
  local token = conv.token
  rearm(name, conv)
  make_dead_letter(name, conv, reason)
  return keep_outcome(name, token, 'dead')
end

local function hold_channel(tag, until_ms, reason)
  is_set_aside(try('HSETNX', key('held', tag), 'since_ms', now_ms), 'held:' .. tag)
  call('HSET', key('held', tag), 'until_ms', until_ms, 'reason', reason)
end

-- The part had no effect: it is put back, until it has been put back for too long.
local function put_back(name, conv, tag, ending)
  local since_ms = tonumber(conv.part_since_ms) or now_ms
  local at_ms = now_ms + ending.delay_ms
  forget_sending(name, conv)
  if ending.give_up_ms > 0 and now_ms - since_ms >= ending.give_up_ms then
    return make_letter(name, conv, ending.reason)
  end
  call('HSET', key('conv', name), 'part_since_ms', since_ms)
  if ending.how == 'limited' then
    call('SET', key('rate', tag), max(at_ms, tonumber(call('GET', key('rate', tag))) or 0))
  elseif ending.how == 'misconfigured' then
    hold_channel(tag, at_ms, ending.reason)
    return give_back(name, conv, at_ms, 'held')
  end
  return give_back(name, conv, at_ms, 'later')
end

local function end_part(name, token, part, tag, ending)
  local conv = read_conv(name)
  local refused = fenced(conv, token)
  if refused then
    local doubt_id = ending.flush_id .. '.' .. string.format('%d', part)
    if ending.how == 'sent' and resolve_doubt(doubt_id) then
      remember_sent(ending.id, tag, name, doubt_id)
    end
    return refused
  end
  local is_begun = conv.sending_ms and number(conv, 'next_part') == part
  if not is_begun then
    return conv.cancelled and 'cancelled' or number(conv, 'next_part') == part + 1 and 'ok' or 'lost'
  end
  allow_writes_when_full()
  if conv.sending_seen then -- an echo is better evidence than a failed request
    ending.how = 'sent'
  end
  if ending.how == 'sent' or ending.how == 'in_doubt' then
    note_left(name, conv, tag, ending)
    return conv.cancelled and 'cancelled' or go_on(name, conv, ending.delay_ms)
  elseif conv.cancelled then
    forget_sending(name, conv)
    return 'cancelled'
  elseif ending.how == 'refused' then
    forget_sending(name, conv)
    call('DEL', key('held', tag)) -- a gateway that refuses one person works
    tally(conv, 'parts_refused', 1)
    return make_letter(name, conv, ending.reason)
  end
  return put_back(name, conv, tag, ending)
end

local replies = {}
for i = 2, #ARGV, 10 do
  local name, token, part, tag, how, flush_id, id, delay_ms, give_up_ms, reason = unpack(ARGV, i, i + 9)
  local ending = { how = how, flush_id = flush_id, id = id, delay_ms = tonumber(delay_ms),
                   give_up_ms = tonumber(give_up_ms), reason = reason }
  table.insert(replies, guarded(end_part, name, token, tonumber(part), tag, ending) or 'broken')
end
-- include: write_tallies
return replies
