"""What a response means: its final answer, its reward, and which responses to a prompt mean the same.

`protocol` has the socket, `registry` what can be plugged in by name, `equivalence/` the keys of answers.
"""
