"""A run's checkpoint handed over: a Hugging Face folder with a model card."""
