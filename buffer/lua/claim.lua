-- claim: take the exclusive, timed right to deliver batches of conversations; seal the open bursts that are due.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 lease_ms   3 max_messages   4 max_bytes   5 max_wait_ms   6 max_crashes
--          7 separator   8 '1' when every message is its own flush (3 to 8: unless the burst carries rules of its route)
--          9 '1' when a part in doubt is sent again
--          then two for each conversation: its hash · the caller's random id
-- returns  one for each conversation, in order, until the reply is large (REPLY_MAX); the others were not touched:
--          { status, until_ms }: 'busy' (leased, waiting to retry, behind a batch of the
--            same person, or a suspect beside others), 'early' (deadline moved), 'paused', 'empty',
--            'broken' (its keys cannot be read)
--          { 'batch', token, flush_id, attempt, failures, crashes, reason, closed_ms, separator, answer or '',
--            next_part, last_part (0 0 = none), number of a part that is in doubt since this claim (0 = none),
--            gateway, channel, peer, name, the agent's memory or '', 1 if the agent was to post its answer (else ''), the answer
--            that it has posted or '', the content type of that, the flush_ids that this one replaces, with blanks between,
--            the field `habits` or '' (buffer/habits.py), the span that the batch before left (include/seal.lua) or '',
--            then each message and its inline media or '' … }
--          If the claim itself ended a batch: { '', outcome, flush_id, messages, attempts, error, gateway, channel, peer,
--          then one of the replies above }, where outcome is dead (a dead letter), lost (its list is gone), or
--          superseded (the batch was taken back: its messages are in the open burst)
-- touches  wake idle dead history tally channels counters suspects hold alias · conv buffer batch seen slabs timer lock
--          memory mark redrive media · letter remains · doubt doubted sent sick
--
-- The conv hash decides, whatever caused the claim. The batch of a worker that died is claimed again as it was
-- (docs/invariants.md#4). A claim repeated with the same random id (lost reply) returns the same batch.

-- include: tally
-- include: buckets
-- include: alias
-- include: entry
-- include: window
-- include: guard

local lease_ms, max_messages, max_bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local max_wait_ms, max_crashes = tonumber(ARGV[5]), tonumber(ARGV[6])
local separator, single, doubt_again = ARGV[7], ARGV[8] == '1', ARGV[9] == '1'
local rules -- of the route, which the burst carries; nil for those of the arguments

local SEEN_RECORD = 16 -- bytes; include/seen.lua has its layout
local REPLY_MAX = 4 * 1024 * 1024 -- bytes of messages and inline media: server and worker hold a whole reply in memory
local reply_bytes = 0

-- Does one of the steps that few claims need.
local rare

local has_aliases = call('EXISTS', key('alias')) == 1

-- The conversation that is claimed, the caller's random id, and the fields of the conv hash that lease() will write.
local name, caller, conv, changes

-- The conversation that `name` is an alias of, or `name` itself.
local resolved

local function set(fields)
  for field, value in pairs(fields) do
    conv[field] = value
    changes[#changes + 1] = field
    changes[#changes + 1] = value
  end
end

-- Is a part of the identity missing, is the ref that of another conversation, or the flush_id none? Such a batch would
-- reach nobody. (The flush_id of a part in doubt that is sent again has a dot.)
local function is_torn()
  if conv.flush_id and string.find(conv.flush_id, '[^%w_.-]') then
    return true
  end
  if not (conv.gateway and conv.channel and conv.peer and conv.ref) then
    return conv.gateway or conv.channel or conv.peer or conv.ref
  end
  return sub(conv.ref, -#name) ~= name
end

-- Read the conversation. An alias may still hold a batch: a pause of its person holds that batch too.
local function load_conversation()
  conv, changes = read_conv(name), {}
  if is_torn() then
    error('an identity that is torn')
  end
  if conv.rules ~= rules then
    -- include: rules
  end
  resolved = has_aliases and resolve(name) or name
  if resolved ~= name then
    conv.paused_until_ms = call('HGET', key('conv', resolved), 'paused_until_ms') or nil
  end
end

local function wait_until(status, at_ms)
  allow_writes_when_full()
  wake_set(name, at_ms)
  return { status, at_ms }
end

-- `messages` are given if they were sealed in this call.
local function batch_reply(messages)
  local reply = { 'batch', conv.token, conv.flush_id, number(conv, 'claims'), number(conv, 'failures'),
                  conv.crashes or 0, conv.reason or '', number(conv, 'closed_ms'), conv.separator or separator,
                  conv.answer or '', conv.next_part or 0, conv.next_part and rare('last_part') or 0,
                  conv.doubted_part or 0, conv.gateway, conv.channel, conv.sealed_peer or conv.peer,
                  conv.sealed_name or '',
                  (conv.remembers or resolved ~= name) and call('GET', key('memory', resolved)) or '',
                  conv.awaited_ms and 1 or '', conv.posted or '', conv.posted_type or '', conv.supersedes or '',
                  conv.habits or '', conv.span_before or '' }
  for _, entry in ipairs(messages or call('LRANGE', key('batch', name), 0, -1)) do
    local media = has_media(entry) and call('HGET', key('media', name), fingerprint_of(entry)) or ''
    reply[#reply + 1] = entry
    reply[#reply + 1] = media
    reply_bytes = reply_bytes + #entry + #media
  end
  return reply
end

-- Set the wake entry to the end of the lease. It is written first (invariant 11).
local function arm_lease_wake()
  allow_writes_when_full()
  wake_set(name, now_ms + lease_ms)
end

-- The lock mirrors the lease. Remove a lock whose lease is over by the injected clock.
local function set_lock(token)
  if not call('SET', key('lock', name), token, 'NX', 'PX', lease_ms) then
    call('DEL', key('lock', name))
    set_lock(token)
  end
end

-- Count a flush when it is sealed, how much later than possible that is, and how long its last message has waited.
local function count_flush(messages)
  local late_ms, counts = now_ms - conv.due_ms, tally(conv, 'flushes_' .. conv.reason, 1)
  local bucket = lateness_bucket(late_ms)
  counts[bucket] = (counts[bucket] or 0) + 1
  counts['lateness_ms:sum'] = (counts['lateness_ms:sum'] or 0) + late_ms
  local waited = wait_bucket(conv.wait_ms)
  counts[waited] = (counts[waited] or 0) + 1
  counts['wait_ms:sum'] = (counts['wait_ms:sum'] or 0) + conv.wait_ms
  counts.flush_messages = (counts.flush_messages or 0) + #messages
  if #messages == 1 then
    counts.flushes_single = (counts.flushes_single or 0) + 1
  end
end

local function lease(messages)
  local fence = number(conv, 'fence') + 1
  local token = fence .. ':' .. caller
  set({ fence = fence, token = token, lease_until_ms = now_ms + lease_ms, claims = number(conv, 'claims') + 1 })
  call('HSET', key('conv', name), unpack(changes))
  if messages then
    count_flush(messages)
  end
  set_lock(token)
  return batch_reply(messages)
end

-- include: seal

-- Take a conversation that holds nothing out of the wake index. Messages that no field of it tells of are an error, and so
-- is a memory of ids that append cannot read: append refuses messages then, and has the conversation looked at.
local function rest()
  local seen = call('TYPE', key('seen', name)).ok
  if seen ~= 'none' and (seen ~= 'string' or call('STRLEN', key('seen', name)) % SEEN_RECORD ~= 0) then
    -- include: slabs_of
    if seen ~= 'string' or not slabs_of(name, call('GET', key('seen', name))) then
      error('a memory of ids that cannot be read')
    end
  end
  if call('EXISTS', key('buffer', name), key('batch', name)) > 0 then
    error('messages without a window')
  end
  call('ZREM', key('wake'), name)
  if conv.ref then
    call('ZADD', key('idle'), now_ms, name)
  end
  return { 'empty', 0 }
end

-- The steps that few claims need. They are made at the first need: a script makes all its functions in each call.
local function make_rare_steps()
  -- include: history
  -- include: batch
  -- include: parts
  -- include: sent
  -- include: suspect
  -- include: person
  -- include: redeliver

  -- Take a batch over whose lease is over. Return a reply if the batch must wait.
  local function take_over()
    -- Note the end of the batch for the reply: the worker tells it in its log.
    local function note_end(problem, outcome)
      local messages = call('LLEN', key('batch', name))
      conv.ended = { '', outcome or messages > 0 and 'dead' or 'lost', conv.flush_id, messages, number(conv, 'claims'), problem,
                     conv.gateway or '', conv.channel or '', conv.sealed_peer or '' }
    end

    -- A token that is still there belongs to a worker that died. End the batch if it must not be delivered any more: it is
    -- cancelled, or it would kill one worker after another.
    local function count_crash()
      if conv.token then
        conv.crashes = number(conv, 'crashes') + 1
        tally(conv, 'leases_recovered', 1)
        call('HSET', key('conv', name), 'crashes', conv.crashes)
        call('HDEL', key('conv', name), 'token')
        call('DEL', key('lock', name))
        conv.token = nil
        conv.rests_until_ms = now_ms + rest_ms(conv.crashes, lease_ms)
      end
      if conv.cancelled then
        discard_batch(name, conv, conv.cancelled)
      elseif number(conv, 'crashes') >= max_crashes then
        local problem = 'the worker died ' .. conv.crashes .. ' times with this batch'
        note_end(problem)
        make_dead_letter(name, conv, problem)
      end
    end

    -- The burst behind a batch that was to go back had the longest wait of both: now it has its own again.
    local function count_burst_for_itself()
      local first = call('LINDEX', key('buffer', name), 0)
      if conv.opened_ms and first and not conv.fired then
        conv.opened_ms = receipt_of(first)
        conv.deadline_ms = max(conv.deadline_ms, min(conv.last_ms + conv.window_ms, conv.opened_ms + max_wait_ms))
        write_window(name, conv)
      end
    end

    -- A superseded batch goes back to the open burst. One that is a suspect now stays: as a batch it dies in the end.
    local function take_back()
      if conv.superseded and number(conv, 'crashes') < SUSPECT_CRASHES then
        -- include: rejoin
        note_end('', 'superseded')
        rejoin(name, conv)
      elseif conv.superseded then
        -- include: keep_batch
        count_burst_for_itself()
      end
    end

    -- A batch whose list is gone has nothing to deliver, and must not stand in the way. Of one with an answer only the
    -- parts are wanted.
    local function drop_lost_batch()
      if conv.flush_id and not conv.answer and call('LLEN', key('batch', name)) == 0 then
        note_end('')
        discard_batch(name, conv, 'lost')
      end
    end

    -- After a jump of the clock a lease that seems over may be alive.
    local held_until_ms = conv.token and tonumber(call('GET', key('hold')))
    if held_until_ms and is_ahead(held_until_ms) then
      return wait_until('busy', held_until_ms)
    end
    arm_lease_wake()
    if conv.sending_ms then
      if doubt_again then
        remember_text(name, print_of(conv, number(conv, 'next_part')), part_id(conv))
      end
      conv.doubted_part = settle_sending(name, conv, doubt_again)
    end
    count_crash()
    drop_lost_batch()
    take_back()
  end

  -- Return a reply if the batch has to rest, or would run beside too many suspects. Note a suspect that may run.
  local function wait_as_suspect()
    local rests_until_ms = number(conv, 'rests_until_ms')
    if rests_until_ms > now_ms then
      call('HSET', key('conv', name), 'retry_at_ms', rests_until_ms)
      return wait_until('busy', rests_until_ms)
    elseif is_crowded(name, conv) then
      return wait_until('busy', now_ms + SUSPECT_POLL_MS)
    end
    call('ZADD', key('suspects'), now_ms + lease_ms, name)
  end

  -- Return a reply if an older batch of the person is not done, under whatever name.
  local function wait_for_person()
    if not conv.flush_id and not conv.redrive and not (conv.opened_ms and conv.deadline_ms <= now_ms) then
      return nil
    end
    local until_ms = blocked_until()
    return until_ms and wait_until('busy', until_ms)
  end

  return { take_over = take_over, wait_as_suspect = wait_as_suspect, wait_for_person = wait_for_person,
           load_redriven = load_redriven, last_part = function() return last_part(conv) end }
end

local rare_steps

function rare(step)
  rare_steps = rare_steps or make_rare_steps()
  return rare_steps[step]()
end

-- The decision: a batch that exists goes first, then a dead letter that was redriven, then the open burst.
local function claim()
  if conv.flush_id then
    if leased(conv) then
      if conv.token == conv.fence .. ':' .. caller then
        return batch_reply()
      end
      return wait_until('busy', number(conv, 'lease_until_ms'))
    elseif is_ahead(number(conv, 'retry_at_ms')) and not conv.superseded then
      return wait_until('busy', number(conv, 'retry_at_ms'))
    end
    local waits = rare('take_over')
    if waits then
      return waits
    elseif conv.ended and conv.ended[2] == 'superseded' then
      local ended = conv.ended
      load_conversation()
      conv.ended = ended
    end
  end
  if paused(conv) and (conv.flush_id or resolved == name) then
    return wait_until('paused', number(conv, 'paused_until_ms'))
  end
  allow_writes_when_full()
  if conv.paused_until_ms then
    call('HDEL', key('conv', name), 'paused_until_ms', 'pause_mode')
    conv.held_until_ms, conv.paused_until_ms = number(conv, 'paused_until_ms'), nil
  end
  if conv.behind or resolved ~= name then
    local waits = rare('wait_for_person')
    if waits then
      return waits
    end
  end
  if conv.flush_id then
    return number(conv, 'crashes') > 1 and rare('wait_as_suspect') or lease()
  end
  arm_lease_wake()
  if conv.redrive and rare('load_redriven') then
    return lease()
  elseif not conv.opened_ms then
    return rest()
  elseif number(conv, 'deadline_ms') > now_ms then
    return is_ahead(conv.deadline_ms) and wait_until('early', conv.deadline_ms) or error('a window without an end')
  end
  local messages = seal()
  return messages and lease(messages) or rest()
end

local function claim_anew()
  load_conversation()
  return claim()
end

local replies = {}
for i = 10, #ARGV, 2 do
  name, caller = ARGV[i], ARGV[i + 1]
  local reply = guarded(claim_anew, name) or { 'broken', 0 }
  if reply[1] == 'busy' then
    tally(conv, 'claims_busy', 1)
  end
  if conv and conv.ended then
    conv.ended[#conv.ended + 1] = reply
    reply = conv.ended
  end
  replies[#replies + 1] = reply
  if reply_bytes > REPLY_MAX then
    break
  end
end
-- include: write_tallies
return replies
