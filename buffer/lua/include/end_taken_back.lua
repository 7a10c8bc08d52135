-- The open burst ends without a flush, and it had taken batches back: record them without a successor. Needs `history` and
-- these variables: name, conv, cause.

local taken = cmsgpack.unpack(conv.taken_back)
for i = 4, #taken do
  local record = taken[i]
  record[#record + 1] = 'cause'
  record[#record + 1] = cause
  history_push(unpack(record))
end
call('HDEL', key('conv', name), 'taken_back')
conv.taken_back = nil
