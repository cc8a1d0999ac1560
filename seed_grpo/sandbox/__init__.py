"""Functions run in worker processes with bounded time and memory."""
