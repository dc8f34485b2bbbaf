from __future__ import annotations

from glossary import retired_names

RETIRED = {"Follower": "CommandGenerator", "is_heard": "has_subscribers"}


def test_a_retired_name_is_found_in_code_and_pages_with_the_name_to_use(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "use.md").write_text("# Use\n\nThe `Follower` asks whether it is_heard.\n")
    (tmp_path / "README.md").write_text("A Follower.\n")
    assert retired_names(tmp_path, ("README.md", "docs"), RETIRED) == [
        "README.md:1: Follower is retired; use CommandGenerator",
        "docs/use.md:3: Follower is retired; use CommandGenerator",
        "docs/use.md:3: is_heard is retired; use has_subscribers",
    ]


def test_words_that_contain_it_and_files_without_text_are_left_alone(tmp_path):
    (tmp_path / "code.py").write_text("FollowerState = this_is_heard = follower = 0\n")
    (tmp_path / "picture.png").write_bytes(b"Follower \xff")
    assert retired_names(tmp_path, ("code.py", "picture.png"), RETIRED) == []
