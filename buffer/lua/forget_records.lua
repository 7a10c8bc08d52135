-- forget_records: delete records of a stream, so that no byte of them stays.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 'history' or 'duplicates'   then the ids of the records
-- returns  how many there were
-- touches  history duplicates
--
-- XDEL alone marks a record as deleted: its bytes stay in memory, in DUMP and in snapshots, until its whole block is gone.
-- So the others are written anew, with their ids.

local stream = key(ARGV[2])
local records = try('XRANGE', stream, '-', '+')
if records.err then
  return 0
end
local is_theirs, deleted = {}, 0
for i = 3, #ARGV do
  is_theirs[ARGV[i]] = true
end
allow_writes_when_full()
call('DEL', stream)
for _, record in ipairs(records) do
  if is_theirs[record[1]] then
    deleted = deleted + 1
  else
    call('XADD', stream, record[1], unpack(record[2]))
  end
end
return deleted
