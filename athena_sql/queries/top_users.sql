-- The users with the most events, and what they did.
-- from_hour = 0000-00-00-00: the first hour
-- to_hour = 9999-12-31-23: the last hour
SELECT
  user_id,
  count(*) AS events,
  count(CASE WHEN activity = 'view' THEN 1 END) AS views,
  count(CASE WHEN activity = 'cart' THEN 1 END) AS carts,
  count(CASE WHEN activity = 'purchase' THEN 1 END) AS purchases
FROM logs
WHERE hour BETWEEN :from_hour AND :to_hour AND user_id IS NOT NULL
GROUP BY user_id
ORDER BY events DESC, user_id
LIMIT 20
