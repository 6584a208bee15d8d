"""Steps: the use cases over the ports: capture, fetch, transform, compact, publish, audit, restore, tidy, due.

Here belongs the order in which things are read and written, and why that order is safe to stop and repeat
anywhere. Not here: Dagster, boto3, a database, or a look at the clock: the time is given.
"""
