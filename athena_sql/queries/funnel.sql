-- How many users went from view to cart to purchase, each step after the one before.
-- from_hour = 0000-00-00-00: the first hour
-- to_hour = 9999-12-31-23: the last hour
WITH viewed AS (
  SELECT user_id, activity, in_date,
    min(CASE WHEN activity = 'view' THEN in_date END) OVER (PARTITION BY user_id) AS viewed_at
  FROM logs
  WHERE hour BETWEEN :from_hour AND :to_hour AND user_id IS NOT NULL AND activity IN ('view', 'cart', 'purchase')
),
carted AS (
  SELECT *,
    min(CASE WHEN activity = 'cart' AND in_date >= viewed_at THEN in_date END) OVER (PARTITION BY user_id) AS carted_at
  FROM viewed
),
reached AS (
  SELECT user_id, max(viewed_at) AS viewed_at, max(carted_at) AS carted_at,
    min(CASE WHEN activity = 'purchase' AND in_date >= carted_at THEN in_date END) AS purchased_at
  FROM carted
  GROUP BY user_id
),
-- Each step with its own number from one reading of the table.
counted AS (
  SELECT count(viewed_at) AS viewed, count(carted_at) AS carted, count(purchased_at) AS purchased FROM reached
)
SELECT steps.step, steps.activity,
  CASE steps.step WHEN 1 THEN viewed WHEN 2 THEN carted ELSE purchased END AS users
FROM counted CROSS JOIN (VALUES (1, 'view'), (2, 'cart'), (3, 'purchase')) AS steps (step, activity)
ORDER BY steps.step
