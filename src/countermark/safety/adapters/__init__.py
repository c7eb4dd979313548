"""Second opinions: other people's classifiers, behind the house's contract.

Each module adapts one kind: models of transformers and diffusers on this machine, and moderation services by HTTP.
``options`` says how each is set up, ``build`` makes them from it. Nothing heavy is imported before an adapter is built,
and no model is loaded before it is asked or told to load.
"""
