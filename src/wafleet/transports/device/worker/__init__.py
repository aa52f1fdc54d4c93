"""The worker process of linked devices. It imports the standard library alone, so that it stays small.

It is started by path as a package of its own (`worker`), never by importing wafleet. Our side imports `line` and
`store` from here, so that each format is written down once.
"""
