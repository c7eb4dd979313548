-- Of the released images, how many carry which marks? A release that lacks one deserves a question.
SELECT json_extract(document, '$.output.watermark') AS watermark,
       watermark_payload IS NOT NULL AS has_payload, manifest_sha256 IS NOT NULL AS has_manifest,
       event.fingerprint IS NOT NULL AS has_fingerprint, count(*) AS images
FROM event
WHERE type = 'generation.released'
GROUP BY watermark, has_payload, has_manifest, has_fingerprint
ORDER BY images;
