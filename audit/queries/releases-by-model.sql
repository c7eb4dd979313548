-- What did each model (and version, and weights) release, under which policies?
SELECT json_extract(document, '$.model.id') AS model, json_extract(document, '$.model.version') AS version,
       json_extract(document, '$.model.digest') AS weights, group_concat(DISTINCT policy) AS policies,
       count(*) AS images, min(time) AS first, max(time) AS last
FROM event
WHERE type = 'generation.released'
GROUP BY model, version, weights
ORDER BY images DESC, model;
