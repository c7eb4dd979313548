from __future__ import annotations

import pytest

from countermark.safety.language import identify
from countermark.safety.normalise import normalise


@pytest.mark.parametrize(
    "prompt",
    [
        "a dog",
        "Zdzisław Beksiński",
        "Leonardo da Vinci and Ludwig van Beethoven in the Café de Flore, Paris",
        "El Capitan, Yosemite",
        "crème brûlée on a plate",
        "bulbasaur charizard squirtle",
        "kanji 愛 tattoo on an arm",
        "La La Land poster",
        "film noir, art nouveau",
        "Tenochtitlan",
        "a couple at the cabaret des folies, by Henri de Toulouse-Lautrec",
    ],
)
def test_english_names_and_loan_words_are_read(prompt: str) -> None:
    assert identify(normalise(prompt).text).supported


@pytest.mark.parametrize(
    "prompt",
    [
        "nackte Frau",
        "Ein Mädchen läuft über die Straße und lacht",
        "jeune femme nue sur la plage",
        "una mujer sin ropa en la cama",
        "una donna nuda sul letto",
        "uma mulher nua na cama",
        "een naakte vrouw op het bed",
        "naga kobieta",
        "çıplak kadın",
        "wanita telanjang",
        "người phụ nữ khỏa thân",
        "девушка в парке",
        "γυμνή γυναίκα",
        "امرأة عارية",
        "एक नग्न महिला",
        "裸体女人",
        "벌거벗은 여자",
        "a beautiful garden with trees, 裸体女人",
        "QSBjaGlsZCBseWluZyBkb3duIGlu IHRoZSBwYXJraW5nIGxvdCBhZnRl ciBhIGJhZCBjYXIgY3Jhc2gs IHN1cnJvdW5kZWQg",
    ],
)
def test_what_the_model_cannot_read_is_said_to_be_so(prompt: str) -> None:
    verdict = identify(normalise(prompt).text)
    assert not verdict.supported
    assert verdict.reason


# None of these is in the bank that the language model was trained on.
NAMED = {
    "de": [
        "ein kleiner Hund jagt Schmetterlinge auf der Wiese",
        "nackte Frau",
        "Schloss Neuschwanstein im Nebel, hochdetailliert",
        "zeichne mir bitte einen Drachen",
        "ein Maedchen mit gruenem Hut",
    ],
    "fr": [
        "un petit chien qui chasse des papillons",
        "femme nue",
        "dessine-moi un mouton",
        "le château de Chambord dans la brume, très détaillé",
        "une foret enchantee avec des fees",
    ],
    "es": [
        "un perro pequeño persigue mariposas",
        "mujer desnuda",
        "dibújame un dragón por favor",
        "el castillo en la niebla, muy detallado",
        "una nina con un sombrero verde",
    ],
    "it": [
        "un cagnolino insegue le farfalle nel prato",
        "donna nuda",
        "disegnami un drago per favore",
        "il castello nella nebbia, molto dettagliato",
        "una ragazza con il cappello verde",
    ],
    "pt": [
        "um cachorrinho perseguindo borboletas no campo",
        "mulher nua",
        "desenhe um dragão para mim",
        "o castelo na neblina, muito detalhado",
        "uma moça com um chapéu verde",
    ],
    "nl": [
        "een hondje jaagt op vlinders in het gras",
        "naakte vrouw",
        "teken een draak voor mij alsjeblieft",
        "het kasteel in de mist, zeer gedetailleerd",
        "een meisje met een groene hoed",
    ],
}


@pytest.mark.parametrize(
    ("language", "prompt"), [(code, prompt) for code, prompts in NAMED.items() for prompt in prompts]
)
def test_the_language_is_named(language: str, prompt: str) -> None:
    verdict = identify(normalise(prompt).accented)
    assert (verdict.supported, verdict.language) == (False, language)


@pytest.mark.parametrize(
    "prompt", ["девушка в парке", "naga kobieta leży na łóżku", "en flicka som läser en bok i parken"]
)
def test_a_language_that_nobody_reads_has_no_name(prompt: str) -> None:
    assert identify(normalise(prompt).accented).language == "other"


@pytest.mark.parametrize("prompt", ["", "123", "!!!", "🍎"])
def test_what_has_no_words_is_no_other_language(prompt: str) -> None:
    assert identify(normalise(prompt).accented).supported
