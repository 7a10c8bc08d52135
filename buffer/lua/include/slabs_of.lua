-- Tells whether the string `seen` of a conversation is the mark of slabs. include/slabs.lua has what they hold.

local SLABS_MARK = 'slabs'

-- Return the number of slabs, or nil: it is no mark, or the hash of the slabs lacks some.
local function slabs_of(name, seen)
  local slabs = #seen == #SLABS_MARK + 3 and string.sub(seen, 1, #SLABS_MARK) == SLABS_MARK
    and (struct.unpack('>I3', seen, #SLABS_MARK + 1))
  return slabs and redis.pcall('HLEN', key('slabs', name)) == slabs and slabs or nil
end
