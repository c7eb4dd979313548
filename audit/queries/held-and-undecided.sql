-- Which images are held for review and nobody has decided yet? Oldest first.
SELECT held.seq, held.time, held.tenant, held.attempt, held.policy, json_extract(held.document, '$.rule') AS rule
FROM event AS held
WHERE held.type = 'generation.held'
  AND NOT EXISTS (SELECT 1 FROM event_index AS later
                  WHERE later.attempt = held.attempt AND later.type = 'review.decided' AND later.seq > held.seq)
ORDER BY held.seq;
