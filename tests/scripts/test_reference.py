from pathlib import Path

import pytest

from otelc2c.scripts.reference import NoSection, filled, main, metrics, names, sections, settings, table

PAGE = "before\n<!-- one -->\nold\n<!-- /one -->\nbetween\n<!-- two -->\n<!-- /two -->\nafter\n"


def test_marked_sections_are_made_anew_and_the_rest_stays() -> None:
    made = filled(PAGE, {"one": lambda: "new\n", "two": lambda: "2"})
    assert made == (
        "before\n<!-- one -->\n\nnew\n\n<!-- /one -->\nbetween\n<!-- two -->\n\n2\n\n<!-- /two -->\nafter\n"
    )
    assert filled(made, {"one": lambda: "new", "two": lambda: "2"}) == made


def test_a_section_that_nobody_makes_is_told() -> None:
    with pytest.raises(NoSection, match="'two'"):
        filled(PAGE, {"one": lambda: ""})


def test_a_bar_stays_within_its_cell() -> None:
    assert table(("a", "b"), [("x|y", "z\\|w")]) == "| a | b |\n|---|---|\n| x\\|y | z\\|w |"


def test_variables_of_one_option_are_listed_once_special_ones_first() -> None:
    assert names(["A_TRACES", "A", "A_METRICS", "A"]) == "`A_TRACES`<br>`A_METRICS`<br>`A`"
    assert names(["A", "B"]) == "`A`<br>`B`"


def test_options_that_each_signal_has_are_one_row() -> None:
    rows = [row for row in settings().splitlines() if "OTEL_EXPORTER_OTLP_TIMEOUT" in row]
    assert len(rows) == 1
    assert "`OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`<br>`OTEL_EXPORTER_OTLP_METRICS_TIMEOUT`<br>" in rows[0]


def test_every_row_has_as_many_cells_as_its_head() -> None:
    for made, cells in ((settings(), 4), (metrics(), 5)):
        for line in made.splitlines():
            assert line.replace("\\|", "").count("|") == cells + 1


def test_figures_come_from_the_page_of_the_benchmarks_or_are_missed(tmp_path: Path) -> None:
    with pytest.raises(NoSection, match="make bench"):
        sections(tmp_path)["speed"]()
    (tmp_path / "tests/benchmarks").mkdir(parents=True)
    (tmp_path / "tests/benchmarks/results.md").write_text("# Speed\n\n## A scrape\n\nfigures\n")
    assert sections(tmp_path)["speed"]() == "### A scrape\n\nfigures"


def test_the_command_rewrites_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "README.md"
    page.write_text("<!-- metrics -->\n<!-- /metrics -->\n")
    assert main([str(page)]) == 0
    assert "`http.server.request.duration`" in page.read_text()
    page.write_text("<!-- speed -->\n<!-- /speed -->\n")
    assert main([str(page)]) == 1
    assert "make bench" in capsys.readouterr().err
    assert page.read_text() == "<!-- speed -->\n<!-- /speed -->\n"
