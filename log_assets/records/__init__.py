"""Records: what one web log entry is, from encrypted token to a line of an hour's file, and back.

Here belongs what is pure: bytes in, bytes out, many at a time, no clock, no I/O. Not here: where bytes come
from or go to (the ports), and in what order things are done (steps).
"""
