"""Ask your own documents on your own machine, with citations to the exact characters."""

__version__ = "0.1.0"
