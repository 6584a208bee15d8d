-- The ten minutes with the most events.
-- from_hour = 0000-00-00-00: the first hour
-- to_hour = 9999-12-31-23: the last hour
SELECT date_trunc('minute', in_date) AS minute, count(*) AS events
FROM logs
WHERE hour BETWEEN :from_hour AND :to_hour AND in_date IS NOT NULL
GROUP BY date_trunc('minute', in_date)
ORDER BY events DESC, minute
LIMIT 10
