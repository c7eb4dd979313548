-- Which prompts can still be read, and which were erased (their data key is gone)?
SELECT substr(event.time, 1, 10) AS day, json_extract(held.value, '$.field') AS field,
       CASE WHEN secret.key_id IS NULL THEN 'erased' ELSE 'readable with the master key' END AS state,
       secret.master_id AS master_key, count(*) AS fields
FROM event
JOIN json_each(json_extract(document, '$.protected')) AS held
LEFT JOIN secret ON secret.key_id = json_extract(held.value, '$.key_id')
GROUP BY day, field, state, master_key
ORDER BY day, field;
