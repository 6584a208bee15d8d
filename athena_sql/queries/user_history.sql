-- Everything one user did, in order of time.
-- user_id = ebda43f475bb8d35cc18c3dd7b8115cab2bed892c2588b70c42feae58c02dd40: the user, 64 hex digits
-- from_hour = 0000-00-00-00: the first hour
-- to_hour = 9999-12-31-23: the last hour
SELECT in_date, activity, method, url, message, record_id
FROM logs
WHERE hour BETWEEN :from_hour AND :to_hour AND user_id = :user_id
ORDER BY in_date, record_id
