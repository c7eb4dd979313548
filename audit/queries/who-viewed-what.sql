-- Who viewed which protected fields of which entry, when, and why?
SELECT event.time, json_extract(document, '$.actor.pseudonym') AS who, json_extract(document, '$.access.index') AS entry,
       json_extract(document, '$.access.event_id') AS event_id, json_extract(document, '$.access.fields') AS fields,
       json_extract(document, '$.reasons[0]') AS why
FROM event
WHERE type = 'access'
ORDER BY seq;
