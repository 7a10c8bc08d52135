-- A superseded batch stays after all: forget its mark, and the changes that were kept for its messages.
-- Needs `entry` and these variables: name, conv.

for _, entry in ipairs(call('LRANGE', key('batch', name), 0, -1)) do
  call('HDEL', key('mark', name), fingerprint_of(entry))
end
call('HDEL', key('conv', name), 'superseded')
conv.superseded = nil
