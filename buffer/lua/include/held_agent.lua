-- Reads and writes what is known of an agent whose calls fail for everyone: a JSON object with `address`, `reason`,
-- `struck` (digests of the people whose calls failed, with spaces between), `struck_ms` (the last of these failures), and
-- once its calls are held also `since_ms`, `until_ms` (the next probe) and `probes`.

local function read_agent(tag)
  local text = try('HGET', key('agents'), tag)
  is_set_aside(text, 'agents')
  local is_read, state = pcall(cjson.decode, type(text) == 'string' and text or '{}')
  state = is_read and type(state) == 'table' and state or {}
  for _, field in ipairs({ 'since_ms', 'until_ms', 'probes', 'struck_ms' }) do
    state[field] = tonumber(state[field])
  end
  return state
end

local function write_agent(tag, state)
  allow_writes_when_full()
  call('HSET', key('agents'), tag, cjson.encode(state))
end
