-- erase: delete everything that is held of a person under all their names, with a record that does not name them.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 gateway   3 channel, both for the record ('' = those of the conversation)
--          4 id of the record that an earlier call of this erase has made, or ''
--          5 how many hashes of the person follow
--          then these hashes …, and then the ids of their dead letters and parts in doubt …
-- returns  { conversations, messages, dead letters, parts in doubt that were deleted, id of the record of this erase or '',
--          then all hashes of the person … }
-- touches  wake idle suspects alias dead doubt history tally channels parked · conv buffer batch seen slabs timer lock media mark
--          memory redrive · letter remains · doubted
--
-- A lease ends by it: every later call of its worker is answered lost (docs/invariants.md#3). What lies in ids, sent,
-- history and sick is found and deleted by the client, in small steps.

-- include: alias
-- include: read
-- include: tally_at_once
-- include: history

local CONVERSATION = { 'conv', 'buffer', 'batch', 'seen', 'slabs', 'timer', 'lock', 'media', 'mark', 'memory',
                       'redrive' }
local HOLDING = { 'conv', 'buffer', 'batch', 'redrive' }
local INDEXES = { 'wake', 'idle', 'suspects' }

local gateway, channel = ARGV[2], ARGV[3]
local names, ids, is_noted = {}, {}, {}

local function note(list, name)
  if not is_noted[name] then
    is_noted[name] = true
    list[#list + 1] = name
  end
end

-- Note all names that lead to the conversation of a hash, and that hash.
local function note_names(hash)
  local kept = resolve(hash)
  note(names, hash)
  note(names, kept)
  local aliases = read('HGET', key('conv', kept), 'aliases') or ''
  for at = 1, #aliases, 16 do
    note(names, sub(aliases, at, at + 15))
  end
end

-- Note the dead letters to redrive and the parts in doubt that a conversation tells of.
local function note_ids(name)
  for _, flush_id in ipairs(read('LRANGE', key('redrive', name), 0, -1) or {}) do
    note(ids, flush_id)
  end
  for doubt_id in string.gmatch(read('HGET', key('conv', name), 'doubts') or '', '%S+') do
    note(ids, doubt_id)
  end
end

local function note_channel(kind, name)
  if gateway == '' then
    gateway = read('HGET', key(kind, name), 'gateway') or ''
    channel = read('HGET', key(kind, name), 'channel') or ''
  end
end

local function length(kind, name)
  return read('LLEN', key(kind, name)) or 0
end

local function keys_of(kinds, name)
  local keys = {}
  for i, kind in ipairs(kinds) do
    keys[i] = key(kind, name)
  end
  return keys
end

-- Delete a conversation. Return 1 if there was one, else 0, and how many messages it held.
local function forget(name)
  note_channel('conv', name)
  try('ZREM', key('parked', read('HGET', key('conv', name), 'parked') or ''), name)
  local messages = length('buffer', name) + length('batch', name)
  local is_there = call('EXISTS', unpack(keys_of(HOLDING, name))) > 0
  call('UNLINK', unpack(keys_of(CONVERSATION, name)))
  for _, index in ipairs(INDEXES) do
    try('ZREM', key(index), name)
  end
  call('HDEL', key('alias'), name)
  return is_there and 1 or 0, messages
end

-- Delete a dead letter and a part in doubt. Return 1 or 0 for each, and how many messages the letter held.
local function forget_id(id)
  note_channel('letter', id)
  note_channel('doubted', id)
  local messages = length('remains', id)
  local letters, doubts = try('ZREM', key('dead'), id), try('ZREM', key('doubt'), id)
  letters = max(call('UNLINK', key('letter', id)), call('UNLINK', key('remains', id)), tonumber(letters) or 0)
  doubts = max(call('UNLINK', key('doubted', id)), tonumber(doubts) or 0)
  return letters, doubts, messages
end

-- Record the erase with the messages of this call and of the calls before: one record tells of all of them. Return its id.
local function record_erase(record_id, messages)
  local before = record_id ~= '' and read('XRANGE', key('history'), record_id, record_id) or {}
  local fields, known = before[1] and before[1][2] or {}, {}
  for i = 1, #fields, 2 do
    known[fields[i]] = fields[i + 1]
  end
  try('XDEL', key('history'), record_id)
  return history_push('gateway', gateway ~= '' and gateway or known.gateway or '',
    'channel', channel ~= '' and channel or known.channel or '', 'outcome', 'discarded', 'cause', 'erased',
    'messages', number(known, 'messages') + messages)
end

local last_name = 5 + tonumber(ARGV[5])
for i = 6, last_name do
  note_names(ARGV[i])
end
for i = last_name + 1, #ARGV do
  note(ids, ARGV[i])
end
for _, name in ipairs(names) do
  note_ids(name)
end

allow_writes_when_full()
local conversations, messages, letters, doubts = 0, 0, 0, 0
for _, name in ipairs(names) do
  local was, held = forget(name)
  conversations, messages = conversations + was, messages + held
end
for _, id in ipairs(ids) do
  local letter, doubt, held = forget_id(id)
  letters, doubts, messages = letters + letter, doubts + doubt, messages + held
end
local record_id = ARGV[4]
if conversations + letters + doubts > 0 then
  record_id = record_erase(record_id, messages)
  tally({ gateway = gateway, channel = channel }, 'messages_discarded', messages)
end
return { conversations, messages, letters, doubts, record_id, unpack(names) }
