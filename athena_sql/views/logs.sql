-- The log as people read it. No row may make a query fail: what does not decode is NULL and stands in extra.
CREATE OR REPLACE VIEW logs AS
WITH described AS (
  SELECT
    *,
    -- A field that did not fit its column stands in extra, under its own name; a JSON string starts with a quote.
    json_extract(extra, '$.user_id') AS x_user_id,
    json_extract(extra, '$.activity') AS x_activity,
    json_extract(extra, '$.url') AS x_url,
    json_extract(extra, '$.method') AS x_method,
    json_extract(extra, '$.name') AS x_name,
    json_extract(extra, '$.inDate') AS x_in_date,
    json_extract(extra, '$.detail.message') AS x_message,
    json_extract(extra, '$.detail.levelname') AS x_levelname
  FROM compact_logs
),
texts AS (
  SELECT
    *,
    CASE
      WHEN regexp_like(indate, '^[0-9]{15}\z') THEN
        '20' || substr(indate, 1, 2) || '-' || substr(indate, 3, 2) || '-' || substr(indate, 5, 2) || ' '
        || substr(indate, 7, 2) || ':' || substr(indate, 9, 2) || ':' || substr(indate, 11, 2) || '.' || substr(indate, 13, 3)
    END AS t_short,
    CASE WHEN substr(json_format(x_in_date), 1, 1) = '"' THEN json_extract_scalar(extra, '$.inDate') END AS t_text,
    CASE WHEN substr(json_format(x_in_date), 1, 1) <> '"' THEN TRY_CAST(json_extract_scalar(extra, '$.inDate') AS double) END AS t_number
  FROM described
),
dates AS (
  SELECT
    *,
    CASE
      WHEN regexp_like(t_text, '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]{1,9})?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?\z')
      THEN substr(t_text, 1, 10) || ' ' || substr(t_text, 12, 8) || '.'
        || substr(COALESCE(regexp_extract(t_text, '[.,]([0-9]+)', 1), '') || '000', 1, 3)
    END AS t_local,
    regexp_extract(t_text, '([+-])[0-9]{2}:?([0-9]{2})?\z', 1) AS t_sign,
    COALESCE(TRY_CAST(regexp_extract(t_text, '[+-]([0-9]{2}):?([0-9]{2})?\z', 1) AS integer), 0) * 60
      + COALESCE(TRY_CAST(regexp_extract(t_text, '[+-]([0-9]{2}):?([0-9]{2})?\z', 2) AS integer), 0) AS t_offset,
    -- Seconds or milliseconds since 1970, of the years 2000 to 2099, as a number or its digits.
    CASE
      WHEN t_number >= 946684800 AND t_number < 4102444800 THEN CAST(floor(floor(t_number * 1E6 + 5E-1) / 1E3) AS bigint)
      WHEN t_number >= 946684800000 AND t_number < 4102444800000 THEN CAST(floor(floor(t_number * 1E3 + 5E-1) / 1E3) AS bigint)
      WHEN regexp_like(t_text, '^[1-9][0-9]{8,9}([.][0-9]{1,9})?\z') THEN
        TRY_CAST(regexp_extract(t_text, '^([0-9]+)', 1) || substr(COALESCE(regexp_extract(t_text, '[.]([0-9]+)', 1), '') || '000', 1, 3) AS bigint)
      WHEN regexp_like(t_text, '^[1-9][0-9]{11,12}([.][0-9]{1,9})?\z') THEN TRY_CAST(regexp_extract(t_text, '^([0-9]+)', 1) AS bigint)
    END AS t_epoch
  FROM texts
),
minutes AS (
  SELECT *, CAST(floor(t_epoch / 6E4) AS bigint) AS t_minute
  FROM dates
)
SELECT
  CASE
    WHEN regexp_like(user_id, '^[A-Za-z0-9_-]{44}\z')
    THEN lower(to_hex(from_base64url(substr(user_id, 1, 22) || '=='))) || lower(to_hex(from_base64url(substr(user_id, 23, 22) || '==')))
    WHEN substr(json_format(x_user_id), 1, 1) = '"' THEN json_extract_scalar(extra, '$.user_id')
  END AS user_id,
  record_id,
  COALESCE(activity, CASE WHEN substr(json_format(x_activity), 1, 1) = '"' THEN json_extract_scalar(extra, '$.activity') END) AS activity,
  COALESCE(url, CASE WHEN substr(json_format(x_url), 1, 1) = '"' THEN json_extract_scalar(extra, '$.url') END) AS url,
  CASE
    WHEN method = 1 THEN 'GET'
    WHEN method = 2 THEN 'POST'
    WHEN substr(json_format(x_method), 1, 1) = '"' THEN json_extract_scalar(extra, '$.method')
  END AS method,
  COALESCE(name, CASE WHEN substr(json_format(x_name), 1, 1) = '"' THEN json_extract_scalar(extra, '$.name') END) AS name,
  COALESCE(
    TRY_CAST(t_short AS timestamp(3)),
    date_add('minute', CASE WHEN t_sign = '-' THEN t_offset ELSE -t_offset END, TRY_CAST(t_local AS timestamp(3))),
    CASE
      WHEN t_epoch >= 946684800000 AND t_epoch < 4102444800000
      -- In two steps: of whatever unit, no more than an integer can be added.
      THEN date_add('millisecond', t_epoch - t_minute * 60000, date_add('minute', t_minute, TIMESTAMP '1970-01-01 00:00:00.000'))
    END
  ) AS in_date,
  COALESCE(detail.message, CASE WHEN substr(json_format(x_message), 1, 1) = '"' THEN json_extract_scalar(extra, '$.detail.message') END) AS message,
  COALESCE(detail.levelname, CASE WHEN substr(json_format(x_levelname), 1, 1) = '"' THEN json_extract_scalar(extra, '$.detail.levelname') END) AS levelname,
  hour,
  extra
FROM minutes
