"""Steps: the use cases over the ports: capture, transform, compact, publish, audit, restore, tidy; what is due.

`generations` and `receipts` are the state of hours and windows, read by them all.

Here belongs the order in which things are read and written, and why that order is safe to stop and repeat
anywhere. Not here: Dagster, boto3, a database, or the clock: the time is given.
"""
