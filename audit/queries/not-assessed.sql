-- How often was a category not looked at, in what was released and in what was not, and why? One row at least for each type.
SELECT event.type, json_extract(finding.value, '$.category') AS category,
       json_extract(finding.value, '$.detector') AS detector, json_extract(finding.value, '$.reason') AS reason,
       count(DISTINCT event.seq) AS events
FROM event
LEFT JOIN json_each(json_extract(document, '$.checks')) AS finding
  ON json_extract(finding.value, '$.state') = 'not_assessed'
WHERE event.type LIKE 'generation.%'
GROUP BY event.type, category, detector, reason
ORDER BY events DESC;
