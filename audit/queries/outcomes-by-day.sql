-- How many requests were released, refused, held or failed, by day and tenant?
SELECT substr(time, 1, 10) AS day, tenant, type, count(*) AS events
FROM event_index
WHERE type LIKE 'generation.%'
GROUP BY day, tenant, type
ORDER BY day, tenant, type;
