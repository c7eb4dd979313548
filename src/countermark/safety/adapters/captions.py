"""What pictures show every day: captions with which a prompt is compared."""

from __future__ import annotations

from typing import Final

EVERYDAY: Final = (
    "a dog running on a beach",
    "a cat asleep on a sofa",
    "a bowl of soup on a wooden table",
    "a city street at night in the rain",
    "a mountain lake under a blue sky",
    "a child's drawing of a house",
    "a red car parked by the road",
    "an old man reading a newspaper",
    "a woman in a business suit at a desk",
    "a football match in a full stadium",
    "a plate of cakes in a shop window",
    "a wedding couple in front of a church",
    "an aeroplane above the clouds",
    "a forest path in autumn",
    "a sailing boat on a calm sea",
    "a black and white portrait of a young man",
    "a bunch of roses in a vase",
    "a robot in a factory",
    "a dragon over a castle, fantasy art",
    "an abstract pattern of coloured shapes",
    "a map of a country",
    "a page of printed text",
    "a kitchen with white cupboards",
    "a crowd at a concert",
    "a horse in a snowy field",
    "a bridge over a wide river",
    "a planet and stars in space",
    "a butterfly on a leaf",
    "a train in a railway station",
    "a computer screen with a chart",
    "a pair of shoes on a white background",
    "a logo for a company",
    "a soldier in uniform",
    "a group of friends laughing in a park",
    "a cartoon character with big eyes",
    "a bottle of wine and two glasses",
    "a desert with dunes at sunset",
    "a baby in a cot",
    "a skyscraper made of glass",
    "a shelf full of books",
)
"""Forty, as unlike each other as can be: whatever a picture shows, some of them fit it as well as an unrelated prompt
does, and hardly any as well as the prompt that it was made from."""
