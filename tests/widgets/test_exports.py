"""Files of a session that the page asks for, and tables as files."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest

import itwidgets
from itwidgets import Engine
from itwidgets.widgets.bundle import bundle_text
from tests.models import PROMPT
from tests.widgets.page import FakePage
from tests.widgets.test_html import head_of

ODD = ' "London",\n\r\t\x00🦜'


@pytest.fixture
def written(page: FakePage) -> FakePage:
    """A page over a text with two branches and with what tables break at."""
    page.viewer.generate().wait()
    page.viewer.force(2, ODD).wait()
    page.settle()
    return page


def file_of(page: FakePage, name: str) -> bytes:
    content, buffers = page.answer(page.tell("export", format=name))
    assert set(content) == {"kind", "id"}
    (file,) = buffers
    return file


def test_the_session_file_is_that_of_save(written: FakePage, tmp_path: Path) -> None:
    session = written.viewer.session
    session.save(tmp_path / "x.json")
    assert file_of(written, "session") == (tmp_path / "x.json").read_bytes()
    assert itwidgets.open(tmp_path / "x.json").text == session.text


def test_the_page_file_shows_what_this_viewer_shows(written: FakePage) -> None:
    written.ask("select", row=1)
    head, _ = head_of(file_of(written, "html").decode())
    assert head["state"]["selected"] == 1
    assert head["state"]["settings"] == written.viewer.settings
    assert head["state"]["head"] == written.viewer.session.nodes[-1].row


def test_the_table_has_every_token_and_reads_back(written: FakePage) -> None:
    expected = written.viewer.session.tree.to_frame()
    found = pd.read_csv(io.BytesIO(file_of(written, "csv")), index_col="row", keep_default_na=False)
    assert found["token"].tolist() == expected["token"].tolist()
    assert found["origin"].tolist() == expected["origin"].tolist()
    assert list(found.columns) == list(expected.columns)
    surprisal = pd.to_numeric(found["surprisal_bits"]).to_numpy()
    assert surprisal == pytest.approx(expected["surprisal_bits"].to_numpy(), nan_ok=True)


def test_the_part_that_draws_pictures_is_handed_over(page: FakePage) -> None:
    assert file_of(page, "pictures").decode() == bundle_text("picture.js")


def test_another_format_is_refused(page: FakePage) -> None:
    error = page.refused("export", format="docx")
    assert error["message"] == "format is 'docx', but must be one of html, session, csv, pictures"


def test_a_table_can_be_kept_as_parquet(engine: Engine, tmp_path: Path) -> None:
    session = engine.session(PROMPT)
    session.force(0, ODD)
    frame = session.to_frame()
    frame.to_parquet(tmp_path / "x.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "x.parquet"), frame)


def test_a_page_of_a_reopened_session_holds_the_same_rows(written: FakePage, tmp_path: Path) -> None:
    session = written.viewer.session
    session.save(tmp_path / "x.json")
    again, first = (head_of(str(one.to_html())) for one in (itwidgets.open(tmp_path / "x.json"), session))
    assert again[1] == first[1]
    # A file does not say which tokens are special.
    assert again[0]["header"] == first[0]["header"] | {"delimiters": []}
    assert again[0]["state"]["model"]["name"] == session.identity.name
