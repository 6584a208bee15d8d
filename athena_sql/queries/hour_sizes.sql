-- Records, users and the span of ids and of time, an hour.
-- from_hour = 0000-00-00-00: the first hour
-- to_hour = 9999-12-31-23: the last hour
SELECT
  hour,
  count(*) AS records,
  count(DISTINCT user_id) AS users,
  min(record_id) AS first_record_id,
  max(record_id) AS last_record_id,
  min(in_date) AS first_in_date,
  max(in_date) AS last_in_date
FROM logs
WHERE hour BETWEEN :from_hour AND :to_hour
GROUP BY hour
ORDER BY hour
