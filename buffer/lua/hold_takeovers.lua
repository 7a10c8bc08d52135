-- hold_takeovers: the server's clock has jumped, and leases seem to be over; take none over for one lease time.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 lease_ms
-- returns  the moment until which no lease is taken over
-- touches  hold
--
-- Workers that live renew their leases meanwhile. A batch that waits for an attempt, and open bursts, are not held.

local until_ms = now_ms + tonumber(ARGV[2])
allow_writes_when_full()
call('SET', key('hold'), until_ms)
return until_ms
