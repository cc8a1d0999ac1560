"""A run's checkpoint for others to load: a Hugging Face folder with a model card."""
