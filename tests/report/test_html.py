"""Pages of one look."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from pyxt_hpc.report.html import TEMPLATES, rendered


def test_every_page_has_the_common_style_and_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<style>{{ style }}</style><p>{{ text }}</p>")
    (tmp_path / "a.css").write_text("td > b { color: red }")
    page = rendered(tmp_path, "a", {"text": "<b>"})
    assert page.index((TEMPLATES / "base.css").read_text()) < page.index("td > b { color: red }")
    assert page.endswith("<p>&lt;b&gt;</p>")
    with pytest.raises(UndefinedError):
        rendered(tmp_path, "a", {})
