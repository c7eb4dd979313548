-- For which categories were requests refused or held, how severe was the worst finding, and how often?
SELECT event.type, json_extract(finding.value, '$.category') AS category,
       max(json_extract(finding.value, '$.severity')) AS worst_severity, count(DISTINCT event.seq) AS events
FROM event
JOIN json_each(json_extract(document, '$.checks')) AS finding ON json_extract(finding.value, '$.severity') > 0
WHERE event.type IN ('generation.refused', 'generation.held')
GROUP BY event.type, category
ORDER BY events DESC, category;
