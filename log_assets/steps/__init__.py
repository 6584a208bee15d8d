"""Steps: the use cases, as plain functions over the ports: capture, transform, compact, publish, audit, restore, tidy.

Here belongs the order in which things are read and written, and why that order is safe to stop and repeat
anywhere. Not here: Dagster, boto3, a database, or a look at the clock: the time is given.
"""
