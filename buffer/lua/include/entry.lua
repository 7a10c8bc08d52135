-- One message as it lies in `buffer` and `batch`:
-- order_ms (13 digits) · received_ms (13 digits) · 'k' for a keyword or '-' · fingerprint (8 bytes) · JSON payload.

local function pack_entry(order_ms, received_ms, keyword, fingerprint, payload)
  return string.format('%013d%013d%s', order_ms, received_ms, keyword and 'k' or '-') .. fingerprint .. payload
end

local function order_of(entry)
  return tonumber(string.sub(entry, 1, 13))
end

local function received_of(entry)
  return tonumber(string.sub(entry, 14, 26))
end

local function keyword_of(entry)
  return string.sub(entry, 27, 27) == 'k'
end

local function fingerprint_of(entry)
  return string.sub(entry, 28, 35)
end

local function size_of(entry)
  return #entry - 35
end
