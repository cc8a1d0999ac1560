"""Evaluation in the paper's terms: responses from a model, their grades, and what the entropy says of them."""
