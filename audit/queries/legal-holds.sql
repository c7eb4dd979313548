-- Which legal holds were placed, on what, why, until when, and which entry released them?
SELECT placed.time, json_extract(placed.document, '$.hold.id') AS hold,
       json_extract(placed.document, '$.hold.query') AS query,
       json_array_length(placed.document, '$.hold.events') AS events, json_extract(placed.document, '$.hold.until') AS until,
       json_extract(placed.document, '$.reasons[0]') AS why, released.seq AS released_by_entry
FROM event AS placed
LEFT JOIN event AS released
  ON released.type = 'hold' AND json_extract(released.document, '$.hold.action') = 'released'
 AND json_extract(released.document, '$.hold.id') = json_extract(placed.document, '$.hold.id')
WHERE placed.type = 'hold' AND json_extract(placed.document, '$.hold.action') = 'placed'
ORDER BY placed.seq;
