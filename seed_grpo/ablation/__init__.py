"""Studies: several arms, the same seeds and budget for each, and what can be said of their differences."""
