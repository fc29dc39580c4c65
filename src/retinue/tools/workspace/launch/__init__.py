"""The process in which employees' commands and looks at files take place. Needs nothing but Python's own library.

The server starts `__main__` and sends it a job. It stays unconfined and small: it forks the one child that is confined
and does the work, watches what that child and its descendants use, and ends them all.
"""
