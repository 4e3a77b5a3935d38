-- For wrk: asks for the paths of a file in turn, and tells what happened as one line of JSON.
-- wrk … -s tokens.lua URL -- FILE close|keep-alive
local requests, number = {}, 0

function init(args)
    wrk.headers["Connection"] = args[2]
    wrk.headers["User-Agent"] = "Mozilla/5.0 (compatible; validation server of the bench)"
    for path in io.lines(args[1]) do
        requests[#requests + 1] = wrk.format("GET", path)
    end
end

function request()
    number = number % #requests + 1
    return requests[number]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests": %d, "seconds": %f, "errors": %d, "p99_ms": %f}\n',
        summary.requests, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(99) / 1e3))
end
