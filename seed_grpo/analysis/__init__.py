"""What the method sees in rollouts on disk: read them, measure each prompt, summarise, plot."""
