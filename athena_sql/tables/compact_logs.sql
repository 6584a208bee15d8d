-- One line of JSON a record, gzip, one object an hour. To paste it into Athena's editor, put your bucket and prefix in.
CREATE EXTERNAL TABLE IF NOT EXISTS compact_logs (
  `user_id` string COMMENT '64 hex digits in url-safe base64: two UUIDs of 22 characters',
  `record_id` bigint COMMENT 'counts up by one at the source',
  `activity` string COMMENT 'view, cart, purchase',
  `url` string COMMENT 'path that was asked for',
  `method` int COMMENT '1 is GET, 2 is POST',
  `name` string COMMENT 'name of the logger',
  `indate` string COMMENT 'time in UTC, yyMMddHHmmssSSS',
  `detail` struct<message:string,levelname:string> COMMENT 'what was logged, and its level',
  `extra` string COMMENT 'JSON text: every field that does not fit a column, unchanged'
)
COMMENT 'Web logs, one record a line, one partition an hour (UTC)'
PARTITIONED BY (`hour` string COMMENT 'UTC hour of the event, like 2023-03-10-01')
ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'
STORED AS TEXTFILE
LOCATION 's3://your-bucket/your-prefix/compact/'
