"""The method: from cluster ids and rewards to entropy, weights and advantages. Arrays in, arrays out.

    groups → entropy → weighting → advantage;  batch: all of it for a training step

Nothing here knows where responses come from or what they mean: no verl, torch or Ray, and no other room of the project.
"""

DROPPED = -1
"""The cluster id of a response that takes no part in the entropy. Other ids number a prompt's clusters from 0, in order
of first appearance."""
