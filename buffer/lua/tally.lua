-- tally: add up what a webhook process has counted by itself, because no script sees it.
--
-- KEYS[1]  root of partition 0, which has these counts of all partitions
-- ARGV     1 now_ms or ''   then two for each count: field of `counters` · amount
-- returns  how many counts were added
-- touches  counters

for i = 2, #ARGV, 2 do
  count(ARGV[i], ARGV[i + 1])
end
return (#ARGV - 1) / 2
