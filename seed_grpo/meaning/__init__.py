"""What a response means: its final answer, and which responses mean the same."""
