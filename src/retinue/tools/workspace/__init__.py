"""Files and commands for employees, kept inside one directory per tenant.

`registry.workspace_tools` makes the tools. Everything that touches files or starts programs happens in a process of
its own (`launch`), which this package's `__init__` must stay light for: it is imported there without any library.
"""
