-- Which prompts and held pictures can still be read, which were erased, and which lost their key without an erasure (a finding)?
WITH erased AS (SELECT DISTINCT gone.value AS event_id
                FROM event JOIN json_each(json_extract(document, '$.erasure.events')) AS gone WHERE event.type = 'erasure')
SELECT substr(event.time, 1, 10) AS day, json_extract(held.value, '$.field') AS field,
       CASE WHEN secret.key_id IS NOT NULL THEN 'readable with the master key'
            WHEN event.event_id IN (SELECT event_id FROM erased) THEN 'erased'
            ELSE 'MISSING, and no erasure is recorded' END AS state,
       secret.master_id AS master_key, count(*) AS fields
FROM event
JOIN json_each(json_extract(document, '$.protected')) AS held
LEFT JOIN secret ON secret.key_id = json_extract(held.value, '$.key_id')
GROUP BY day, field, state, master_key
ORDER BY day, field;
