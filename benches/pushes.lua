-- wrk's part of benches/load: reads ready-made requests of one length from a file. Each thread has its own part of it.
-- Arguments: FILE LENGTH PUSHES_PER_THREAD. A thread that has sent its part begins again.

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  length, part = tonumber(args[2]), tonumber(args[3])
  file = assert(io.open(args[1], "rb"))
  left = 0
end

function request()
  if left == 0 then
    file:seek("set", number * part * length)
    left = part
  end
  left = left - 1
  return file:read(length)
end

function done(summary, latency)
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.status, broken))
end
