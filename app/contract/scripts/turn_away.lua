-- Remember a request that others stood in the way of, as if it had been accepted. Touches ARRIVALS_.
-- ARGV: lane, images, budget_ms
-- Returns 1.
note_arrivals(ARGV[1], {arrival(ARGV[2], ARGV[3], '1')})
return 1
