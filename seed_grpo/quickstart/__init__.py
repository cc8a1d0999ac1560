"""What the quickstart trains: a small model made on the spot, warm-started on sums."""
