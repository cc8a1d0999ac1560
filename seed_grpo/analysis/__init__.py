"""What the method makes of rollouts on disk: read them, measure each prompt, summarise, plot."""
