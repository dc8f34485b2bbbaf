from __future__ import annotations

import pytest

from doc_links import broken_links
from doc_pages import read_page

GOOD = """# Cups
[that](docs/other.md), [below](#on-a-gpu), [there](docs/other.md#two-words--more-1), [web](https://example.com)
![a picture](docs/cup.png)

| a |
|---|
| [in a cell](docs/other.md) |

## On a GPU
`[no link](nowhere.md)`

```
[no link](nowhere.md)
```
"""
OTHER = "# Other\n## Two words & more\n## Two `words` & more\n"


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "other.md").write_text(OTHER)
    (tmp_path / "docs" / "cup.png").touch()
    (tmp_path / "README.md").write_text(GOOD)
    return tmp_path


def test_what_is_there_is_found(checkout):
    assert broken_links(checkout) == []


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("[a](docs/others.md)", "there is no docs/others.md"),
        ("![a](cup.png)", "there is no cup.png"),
        ("[a](#gpu)", "no such heading in README.md; it has cups, on-a-gpu"),
        ("[a](docs/other.md#three)", "no such heading in docs/other.md"),
        ("[a](docs/cup.png#a)", "docs/cup.png is no page"),
        ("[a](../elsewhere.md)", "leads out of the checkout"),
        ("[a](/docs/other.md)", "expected a path relative to the page"),
    ],
)
def test_what_leads_nowhere_is_named_with_its_line(checkout, link, problem):
    (checkout / "README.md").write_text(f"{GOOD}\n| a |\n|---|\n| {link} |\n")
    (line,) = broken_links(checkout)
    assert line.startswith("README.md:18: link ") and problem in line


def test_anchors_are_those_of_github():
    page = read_page("# Do images arrive? `bench transport`\n## A, b\n## A - b\n## A, b\n## Größe\n")
    assert page.anchors == {"do-images-arrive-bench-transport", "a-b", "a---b", "a-b-1", "größe"}
