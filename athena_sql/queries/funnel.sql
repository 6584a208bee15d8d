-- How many users went from view to cart to purchase, each step after the one before.
-- from_hour = 0000-00-00-00: the first hour
-- to_hour = 9999-12-31-23: the last hour
WITH viewed AS (
  SELECT user_id, min(in_date) AS at FROM logs
  WHERE hour BETWEEN :from_hour AND :to_hour AND activity = 'view' AND user_id IS NOT NULL
  GROUP BY user_id
),
carted AS (
  SELECT l.user_id, min(l.in_date) AS at FROM logs l JOIN viewed v ON l.user_id = v.user_id AND l.in_date >= v.at
  WHERE l.hour BETWEEN :from_hour AND :to_hour AND l.activity = 'cart'
  GROUP BY l.user_id
),
purchased AS (
  SELECT l.user_id, min(l.in_date) AS at FROM logs l JOIN carted c ON l.user_id = c.user_id AND l.in_date >= c.at
  WHERE l.hour BETWEEN :from_hour AND :to_hour AND l.activity = 'purchase'
  GROUP BY l.user_id
)
SELECT 1 AS step, 'view' AS activity, count(*) AS users FROM viewed
UNION ALL
SELECT 2, 'cart', count(*) FROM carted
UNION ALL
SELECT 3, 'purchase', count(*) FROM purchased
ORDER BY step
