-- redrive: deliver a dead letter again; it is served before anything new is sealed.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 flush_id
-- returns  'ok' | 'already' (redriven before) | 'gone' (its messages or fields are gone) | 'unknown'
-- touches  wake idle dead alias · conv redrive · letter remains

-- include: alias
-- include: read
-- include: redrive_letter

return redrive_letter(ARGV[2])
