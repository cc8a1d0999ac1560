"""Engines: decoding with transformers in this process, and what vLLM can serve."""
