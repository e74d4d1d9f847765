"""The tables in README and model card are the figures of the last release."""

from export import report


def test_the_tables_are_up_to_date() -> None:
    assert report.main(["--check"]) == 0


def test_only_what_is_between_the_markers_changes() -> None:
    text = "before\n<!-- kinds -->\nold\n<!-- /kinds -->\nafter <!-- other -->\nx\n<!-- /other -->"
    assert report.fill(text, {"kinds": "new\nlines"}) == text.replace("old", "new\nlines")
    assert report.fill(text, {"absent": "x"}) == text
