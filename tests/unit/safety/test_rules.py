"""The minors rule and the term lists. Strings are as short and plain as the rule allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from countermark.errors import PolicyInvalid
from countermark.model import Category, Finding, FindingState
from countermark.safety import MinorsRule, PromptEnsemble, TermLists


def minors_finding(prompts: PromptEnsemble, text: str) -> Finding:
    return next(f for f in prompts.assess(text) if f.category is Category.SEXUAL_MINORS)


@pytest.mark.parametrize(
    "prompt",
    [
        "a nude child",
        "a sexy teenager",
        "a 15 year old girl, erotic",
        "nsfw, 12yo",
        "a fifteen-year-old in lingerie",
        "lingerie, girl of 14",
        "an underage model, sensual",
        "a school girl, lewd",
        "a n4ked sch00lgirl",
        "a n a k e d  s c h o o l g i r l",
        "a nаked tееnager",  # Cyrillic letters
        "a n\u200baked ch\u200bild",
    ],
)
def test_sexual_content_about_minors_is_blocked(prompts: PromptEnsemble, prompt: str) -> None:
    finding = minors_finding(prompts, prompt)
    assert (finding.score, finding.severity) == (1.0, 6)


@pytest.mark.parametrize(
    "prompt",
    [
        "a girl reading a book",
        "a baby shower with balloons",
        "children building a sandcastle",
        "a nude adult woman, oil painting",
        "a girl in her twenties in a swimsuit",
        "a 25 year old woman in lingerie",
        "a bottle of 12 year old whisky",
        "a teenager on a skateboard",
        "sex education class in a high school",
        "a kid with a naked mole rat at the zoo",
        "breast cancer awareness run, mothers with children",
    ],
)
def test_either_half_alone_does_not_fire(prompts: PromptEnsemble, prompt: str) -> None:
    finding = minors_finding(prompts, prompt)
    assert finding.state is FindingState.ASSESSED
    assert (finding.score, finding.severity) == (0.0, 0)


def test_the_models_sexual_score_counts_as_sexual_content() -> None:
    rule = MinorsRule()
    low = rule.finding("a teenager on a bed", sexual_score=0.1, may_clear=True)
    high = rule.finding("a teenager on a bed", sexual_score=0.9, may_clear=True)
    assert low is not None
    assert low.score == 0.0
    assert high is not None
    assert high.score == 1.0


def test_without_a_model_the_rule_can_find_but_not_clear() -> None:
    rule = MinorsRule()
    assert rule.finding("a dog", sexual_score=None, may_clear=False) is None
    found = rule.finding("a nude child", sexual_score=None, may_clear=False)
    assert found is not None
    assert found.severity == 6


def test_a_term_is_found_as_whole_words_only() -> None:
    lists = TermLists()
    assert {f.category for f in lists.findings("heil hitler")} == {Category.HATE}
    assert {f.category for f in lists.findings("revenge-porn")} >= {Category.NCII}
    assert lists.findings("a raccoon in scunthorpe, the class of 14889") == ()


def test_an_asterisk_stands_for_any_ending_of_its_word(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "apiVersion: countermark.terms/v1\ncategory: sexual\nversion: '1'\nscore: 0.9\nseverity: 4\n"
        "terms: [klein* mädchen, porn*]\n",
        encoding="utf-8",
    )
    lists = TermLists(tmp_path)
    for prompt in ("kleines mädchen", "kleine-madchen", "klein mädchen", "a pornographer"):
        assert lists.findings(prompt) != ()
    for prompt in ("kleinmädchen", "mädchen", "a spornosaurus", "klein* madchens"):
        assert lists.findings(prompt) == ()


@pytest.mark.parametrize("prompt", ["blue_whale", "_blue_whale_, 8k", "1girl,blue_whale", "groesse", "grösse", "größe"])
def test_tags_and_other_spellings_are_the_same_words(tmp_path: Path, prompt: str) -> None:
    (tmp_path / "own.yaml").write_text(
        "apiVersion: countermark.terms/v1\ncategory: sexual\nversion: '1'\nscore: 0.9\nseverity: 4\n"
        "terms: [blue whale, größe]\n",
        encoding="utf-8",
    )
    assert TermLists(tmp_path).findings(prompt) != ()
    assert TermLists(tmp_path).findings(f"x{prompt.strip('_')}x") == ()


def test_a_pattern_may_still_look_for_an_underscore(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "apiVersion: countermark.terms/v1\ncategory: sexual\nversion: '1'\nscore: 0.9\nseverity: 4\n"
        "patterns: ['blue_whale']\n",
        encoding="utf-8",
    )
    assert TermLists(tmp_path).findings("a blue_whale") != ()
    assert TermLists(tmp_path).findings("a blue whale") == ()


def test_an_exception_is_taken_out_before_matching(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "apiVersion: countermark.terms/v1\ncategory: sexual\nversion: '1'\nscore: 0.9\nseverity: 4\n"
        "terms: [porn]\nexcept: [porn addiction]\n",
        encoding="utf-8",
    )
    lists = TermLists(tmp_path)
    assert lists.findings("a poster about porn addiction") == ()
    assert lists.findings("a poster about porn addiction, porn") != ()


def test_a_list_without_a_model_finds_but_never_clears(prompts: PromptEnsemble) -> None:
    def extremism(text: str) -> Finding:
        return next(f for f in prompts.assess(text) if f.category is Category.EXTREMISM)

    assert extremism("an isis recruitment poster").severity == 6
    assert extremism("a lighthouse").state is FindingState.NOT_ASSESSED


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("category: [", r"terms\.yaml:1:12: "),
        ("category: sexual\nversion: '1'\nscore: 0.9\nseverity: 6\n", "apiVersion"),
        (
            "apiVersion: countermark.terms/v1\ncategory: sexual\nversion: '1'\nscore: 7\nseverity: 6\nkind: x\n",
            r"terms\.yaml:4:1: score: [^\n]+\n[^\n]+terms\.yaml:6:1: kind: ",
        ),
        ("terms: &all [a]\nexcept: *all\n", "terms.yaml:2:9: not valid YAML: aliases are not allowed"),
        ("- sexual\n", "a mapping with apiVersion, category, version, score, severity"),
        ("#" * 8_000_001, "larger than 8,000,000 bytes"),
        (
            "apiVersion: countermark.terms/v1\ncategory: sexual\nversion: '1'\nscore: 0.9\nseverity: 6\n"
            "patterns: ['(']\n",
            "does not compile",
        ),
    ],
)
def test_a_bad_list_is_refused_with_its_place(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "terms.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(PolicyInvalid, match=complaint) as raised:
        TermLists(tmp_path)
    assert "terms.yaml" in raised.value.message


def test_own_lists_replace_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "apiVersion: countermark.terms/v1\ncategory: public_figure\nversion: '1'\nscore: 0.9\nseverity: 4\n"
        "terms: [jane example]\n",
        encoding="utf-8",
    )
    (found,) = TermLists(tmp_path).findings("a portrait of jane example")
    assert (found.category, found.score, found.severity) == (Category.PUBLIC_FIGURE, 0.9, 4)


@pytest.mark.parametrize(
    ("prompt", "category"),
    [
        ("ein pornofilm mit zwei erwachsenen", Category.SEXUAL),
        ("juden raus, plakat", Category.HATE),
        ("une affiche, mort aux juifs", Category.HATE),
        ("un cadavre mutilé", Category.GRAPHIC),
        ("un cadavre mutile", Category.GRAPHIC),
        ("métodos de suicidio", Category.SELF_HARM),
        ("metodi di suicidio", Category.SELF_HARM),
        ("uma cabeça decepada", Category.GRAPHIC),
        ("uma cabeca decepada", Category.GRAPHIC),
        ("wraakporno", Category.NCII),
        ("ficken", Category.SEXUAL),
        ("Schwanz lutschen", Category.SEXUAL),
        ("grosse titten", Category.SEXUAL),
        ("nackte frau", Category.SEXUAL),
        ("nackte frauen am strand", Category.SEXUAL),
        ("pareja follando", Category.SEXUAL),
        ("tetas grandes", Category.SEXUAL),
        ("donna nuda", Category.SEXUAL),
        ("decapitado", Category.GRAPHIC),
        ("un hombre decapitado", Category.GRAPHIC),
        ("une femme décapitée", Category.GRAPHIC),
        ("verstuemmelte leichen", Category.GRAPHIC),
    ],
)
def test_the_lists_hold_terms_of_other_languages(prompt: str, category: Category) -> None:
    assert {finding.category for finding in TermLists().findings(prompt.lower())} == {category}


@pytest.mark.parametrize(
    ("prompt", "category"),
    [
        ("two handjobs", Category.SEXUAL),
        ("she masturbated", Category.SEXUAL),
        ("pornstars", Category.SEXUAL),
        ("pornofilme", Category.SEXUAL),
        ("severed heads on spikes", Category.GRAPHIC),
        ("disembowelling", Category.GRAPHIC),
        ("mutilated corpses", Category.GRAPHIC),
        ("deepfake nudes", Category.NCII),
        ("a poster: white power", Category.HATE),
        ("a 14/88 tattoo", Category.HATE),
        ("skinheads with a 1488 banner", Category.HATE),
        ("whites are superior", Category.HATE),
        ("license to kill immigrants", Category.HATE),
        ("woman in her birthday suit", Category.SEXUAL),
        ("a topless sunbather", Category.SEXUAL),
        ("oral_sex, 1girl", Category.SEXUAL),
        ("_severed_head_", Category.GRAPHIC),
    ],
)
def test_the_lists_hold_inflections(prompt: str, category: Category) -> None:
    assert category in {finding.category for finding in TermLists().findings(prompt)}


@pytest.mark.parametrize(
    "prompt",
    [
        "a map of the cape by bartolomeu dias, 1488",
        "the white power ranger",
        "a white power cord on a desk",
        "egg whites are superior to yolks",
        "white is superior to black in this chess position",
        "faggots and peas on a plate",
        "kike hernandez swinging a bat",
        "a xiaomi youpin lamp",
        "guro digital complex in seoul",
        "perseus with the severed head of medusa",
        "licence to kill, film poster",
        "a man buying a birthday suit",
        "children in new birthday suits",
        "a topless convertible",
        "a child sunbathing with a hat",
    ],
)
def test_the_lists_leave_names_dates_and_dishes_alone(prompt: str) -> None:
    assert TermLists().findings(prompt) == ()


@pytest.mark.parametrize(
    "prompt",
    [
        "ein jude und ein muslim trinken tee",
        "ausländer lernen deutsch",
        "une tête coupée au cadre, portrait",
        "un hombre negro leyendo",
        "um macaco preto na árvore",
        "una cabeza de ajo cortada",
        "een hoofd in de wolken",
        "plakat zur suizidprävention",
        "un film d'amour",
        "les veines du marbre",
        "cabeça decepada de alho",
        "cabeças decepadas de repolho",
        "testa mozzata di medusa, caravaggio",
        "una vaca de tetas grandes",
        "statua di donna nuda",
        "skulptur einer nackten frau",
        "eine fickmühle",
        "el follaje del bosque",
        "una estatua decapitada",
        "un mannequin décapité",
        "un piccolo neukirchen",
        "una verità nuda e cruda",
        "sexualkunde in der schule",
    ],
)
def test_no_common_word_of_another_language_is_banned(prompt: str) -> None:
    assert TermLists().findings(prompt) == ()
