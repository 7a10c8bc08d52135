-- Reads for people: a key that cannot be read (wrong type) must not hide all others.

-- Return the reply of a command, or nil where it has none or fails.
local function read(...)
  local reply = redis.pcall(...)
  return not (type(reply) == 'table' and reply.err) and reply or nil
end
