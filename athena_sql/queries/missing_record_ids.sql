-- Record ids that were lost, as ranges, each under the hour of the first record after it.
-- An hour that goes back behind the least id of the hour before it begins a new era of the source's counter; a step of
-- more than 1,000,000 is a reset too. Ids are compared within an era.
-- from_hour = 0000-00-00-00: the first hour
-- to_hour = 9999-12-31-23: the last hour
WITH ids AS (
  SELECT hour, record_id FROM compact_logs
  WHERE hour BETWEEN :from_hour AND :to_hour AND record_id IS NOT NULL
),
hours AS (
  SELECT hour, least, lag(least) OVER (ORDER BY hour) AS mark
  FROM (SELECT hour, min(record_id) AS least FROM ids GROUP BY hour) AS hours_with_ids
),
eras AS (
  SELECT hour, mark, least < mark AS is_reset,
    sum(CASE WHEN least < mark THEN 1 ELSE 0 END) OVER (ORDER BY hour) AS era
  FROM hours
),
placed AS (
  SELECT
    CASE WHEN eras.is_reset AND ids.record_id >= eras.mark THEN eras.era - 1 ELSE eras.era END AS era,
    ids.record_id,
    min(ids.hour) AS hour
  FROM ids JOIN eras ON ids.hour = eras.hour
  GROUP BY 1, 2
),
steps AS (
  SELECT era, hour, record_id, lag(record_id) OVER (PARTITION BY era ORDER BY record_id) AS previous
  FROM placed
)
SELECT hour, previous + 1 AS first_missing, record_id - 1 AS last_missing, record_id - previous - 1 AS missing
FROM steps
-- Of two ids at the ends of what a bigint holds the difference is none.
WHERE CAST(record_id AS decimal(20, 0)) - CAST(previous AS decimal(20, 0)) BETWEEN 2 AND 1000000
ORDER BY hour, first_missing
