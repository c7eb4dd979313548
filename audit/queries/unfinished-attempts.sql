-- Which requests began and have no outcome yet? Those of a crashed process become "generation.failed" at its next start.
SELECT attempt, tenant, time FROM pending ORDER BY time;
