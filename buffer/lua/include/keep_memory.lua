-- Keeps the agent's memory under the hash that stays when the person writes from another id.

-- include: alias

local function keep_memory(name, memory)
  local kept = resolve(name)
  call('SET', key('memory', kept), memory)
  call('HSET', key('conv', kept), 'remembers', 1)
end
