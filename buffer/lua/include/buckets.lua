-- The buckets of the histograms of times in ms: the fields `<name>:<i>` of a tally count the values of bucket i, from 0,
-- and `<name>:sum` adds them up. Functions without upvalues, and constants instead of tables: a script makes all of them
-- in each call.

-- The upper bounds are 5 10 25 50 100 250 500 1000 2500 5000 10000 60000. The last bucket has none.
local function lateness_bucket(ms)
  return ms <= 5 and 'lateness_ms:0' or ms <= 10 and 'lateness_ms:1' or ms <= 25 and 'lateness_ms:2'
    or ms <= 50 and 'lateness_ms:3' or ms <= 100 and 'lateness_ms:4' or ms <= 250 and 'lateness_ms:5'
    or ms <= 500 and 'lateness_ms:6' or ms <= 1000 and 'lateness_ms:7' or ms <= 2500 and 'lateness_ms:8'
    or ms <= 5000 and 'lateness_ms:9' or ms <= 10000 and 'lateness_ms:10' or ms <= 60000 and 'lateness_ms:11'
    or 'lateness_ms:12'
end

-- The upper bounds are 250 500 1000 1500 2000 3000 4000 5000 6000 8000 10000 12000 15000 20000 30000 60000. The last bucket
-- has none.
local function wait_bucket(ms)
  return ms <= 250 and 'wait_ms:0' or ms <= 500 and 'wait_ms:1' or ms <= 1000 and 'wait_ms:2' or ms <= 1500 and 'wait_ms:3'
    or ms <= 2000 and 'wait_ms:4' or ms <= 3000 and 'wait_ms:5' or ms <= 4000 and 'wait_ms:6' or ms <= 5000 and 'wait_ms:7'
    or ms <= 6000 and 'wait_ms:8' or ms <= 8000 and 'wait_ms:9' or ms <= 10000 and 'wait_ms:10'
    or ms <= 12000 and 'wait_ms:11' or ms <= 15000 and 'wait_ms:12' or ms <= 20000 and 'wait_ms:13'
    or ms <= 30000 and 'wait_ms:14' or ms <= 60000 and 'wait_ms:15' or 'wait_ms:16'
end

-- The upper bounds are 100 250 500 1000 2500 5000 10000 30000 60000 120000. The last bucket has none.
local function latency_bucket(ms)
  return ms <= 100 and ':0' or ms <= 250 and ':1' or ms <= 500 and ':2' or ms <= 1000 and ':3' or ms <= 2500 and ':4'
    or ms <= 5000 and ':5' or ms <= 10000 and ':6' or ms <= 30000 and ':7' or ms <= 60000 and ':8'
    or ms <= 120000 and ':9' or ':10'
end
