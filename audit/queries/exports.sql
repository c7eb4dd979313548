-- Which entries were handed over, to what bundle (the SHA-256 of its manifest), and with how many events disclosed?
SELECT event.time, json_extract(document, '$.actor.pseudonym') AS who, json_extract(document, '$.export.first') AS first,
       json_extract(document, '$.export.end') AS "end", json_extract(document, '$.export.disclosed') AS disclosed,
       json_extract(document, '$.export.manifest_sha256') AS manifest, json_extract(document, '$.reasons[0]') AS why
FROM event
WHERE type = 'export'
ORDER BY seq;
