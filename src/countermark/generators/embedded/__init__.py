"""The embedded generator: a tiny text-to-image model of our own, whose weights ship with the package."""
