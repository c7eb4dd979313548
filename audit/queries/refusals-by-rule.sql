-- Which rule of which policy refused or held requests, and how often?
SELECT policy, json_extract(document, '$.rule') AS rule, decision, count(*) AS events, min(time) AS first, max(time) AS last
FROM event
WHERE type IN ('generation.refused', 'generation.held')
GROUP BY policy, rule, decision
ORDER BY events DESC, policy, rule;
