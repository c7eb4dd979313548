-- Which trials with attack prompts were there, how far did they go, how many got through, and under which policy?
SELECT event.time, json_extract(document, '$.policy.id') AS policy, json_extract(document, '$.policy.digest') AS policy_digest,
       json_extract(document, '$.red_team.stages') AS stages, json_extract(document, '$.red_team.prompts') AS prompts,
       json_extract(document, '$.red_team.stopped_by_prompt') AS stopped_by_prompt,
       json_extract(document, '$.red_team.stopped_by_image') AS stopped_by_image,
       json_extract(document, '$.red_team.passed') AS passed, json_extract(document, '$.red_team.result_sha256') AS result
FROM event
WHERE type = 'red_team'
ORDER BY seq;
