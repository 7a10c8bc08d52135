-- fold: add what append has counted lately to the tallies of the channels, before somebody reads them.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''
-- returns  how many bytes of counts were added
-- touches  uncounted tally channels counters sick

-- include: fold

return fold()
