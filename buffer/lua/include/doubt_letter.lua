-- Makes a dead letter of a part in doubt. Its flush_id is `<flush_id>.<part>`, and it holds that part alone.

local function make_doubt_letter(doubt_id, doubt, problem)
  local letter = { 'flush_id', doubt_id, 'error', problem, 'died_ms', now_ms, 'messages', 0, 'reason', 'manual',
                   'closed_ms', now_ms, 'claims', 0, 'next_part', doubt.number, 'last_part', doubt.number }
  for _, field in ipairs({ 'conversation', 'ref', 'gateway', 'channel', 'peer', 'name', 'separator', 'answer', 'prints' }) do
    letter[#letter + 1] = field
    letter[#letter + 1] = doubt[field] or ''
  end
  call('ZADD', key('dead'), now_ms, doubt_id)
  call('HSET', key('letter', doubt_id), unpack(letter))
end
