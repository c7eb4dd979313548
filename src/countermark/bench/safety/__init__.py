"""How well prompts and images are told apart: what is missed, what is refused for nothing, and what is said of it.

``countermark bench safety`` prints it, beside peers, on prompts and pictures that whoever runs it has. Sources that
the shipped model was trained on are never mixed with those that it was not.
"""
