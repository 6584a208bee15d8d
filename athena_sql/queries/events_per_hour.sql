-- Events per hour and activity.
-- from_hour = 0000-00-00-00: the first hour
-- to_hour = 9999-12-31-23: the last hour
SELECT hour, activity, count(*) AS events, count(DISTINCT user_id) AS users
FROM logs
WHERE hour BETWEEN :from_hour AND :to_hour
GROUP BY hour, activity
ORDER BY hour, activity
