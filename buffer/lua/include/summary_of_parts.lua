-- Adds what became of the parts of an answer to the record of a batch. Needs these variables of include/batch.lua: conv,
-- record.

local doubts = 0
for doubt_id in string.gmatch(conv.doubts or '', '%S+') do
  doubts = doubts + (string.find(doubt_id, conv.flush_id .. '.', 1, true) == 1 and 1 or 0)
end
for field, value in pairs({ parts = #(conv.prints or '') / 8, next_part = conv.next_part, doubts = doubts }) do
  table.insert(record, field)
  table.insert(record, value)
end
