-- Which images are held for review and nobody has decided yet? Oldest first.
WITH decided AS (SELECT attempt, max(seq) AS seq FROM event_index WHERE type = 'review.decided' GROUP BY attempt)
SELECT held.seq, held.time, held.tenant, held.attempt, held.policy, json_extract(held.document, '$.rule') AS rule
FROM event AS held LEFT JOIN decided ON decided.attempt = held.attempt AND decided.seq > held.seq
WHERE held.type = 'generation.held' AND decided.seq IS NULL
ORDER BY held.seq;
