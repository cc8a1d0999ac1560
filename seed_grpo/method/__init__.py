"""The method: from cluster ids and rewards to entropy, weights and advantages. Arrays in, arrays out."""
