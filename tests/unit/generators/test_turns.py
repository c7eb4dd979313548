"""One pipeline, one run at a time; a setting of the process is put back when the last of its users leaves."""

from __future__ import annotations

from countermark.generators.turns import WhileAnyone, turn_of


class Pipe:
    pass


def test_generators_around_one_pipeline_share_its_turn() -> None:
    pipe, other = Pipe(), Pipe()
    assert turn_of(pipe) is turn_of(pipe)
    assert turn_of(pipe) is not turn_of(other)
    assert turn_of([]) is not turn_of([]), "what cannot be told from its equals has a turn for each generator"


def test_a_setting_stays_changed_until_the_last_user_leaves() -> None:
    level = ["warning"]

    def change() -> str:
        before, level[0] = level[0], "error"
        return before

    def restore(before: str) -> None:
        level[0] = before

    quiet = WhileAnyone(change, restore)
    quiet.__enter__()  # of one thread
    quiet.__enter__()  # of another, meanwhile
    quiet.__exit__(None, None, None)
    assert level == ["error"]
    quiet.__exit__(None, None, None)
    assert level == ["warning"]
