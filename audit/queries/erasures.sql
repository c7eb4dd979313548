-- What was erased, on whose order and why, and how much was kept because of a legal hold?
SELECT event.time, json_extract(document, '$.actor.pseudonym') AS ordered_by,
       json_extract(document, '$.erasure.subject') AS subject, json_extract(document, '$.reasons[0]') AS why,
       json_array_length(document, '$.erasure.events') AS erased,
       (SELECT sum(json_extract(kept.value, '$.events')) FROM json_each(document, '$.erasure.held_back') AS kept) AS held_back
FROM event
WHERE type = 'erasure'
ORDER BY seq;
