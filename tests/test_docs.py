"""The Markdown pages keep their word: each `python` block runs, each local link leads somewhere.

The blocks of a page share one namespace, top to bottom, in a folder that holds `the-verdict.txt` and a store
of it, `corpus.tm`. `>>>` lines are doctests, other blocks are executed. A block that is only to be read says
so: ```python no-run.
"""

from __future__ import annotations

import doctest
import re
import shutil
from pathlib import Path

import pytest

import tokenmill

ROOT = Path(__file__).parent.parent
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def run_block(code: str, namespace: dict[str, object], name: str, line: int) -> None:
    if ">>>" not in code:
        exec(compile("\n" * line + code, name, "exec"), namespace)
        return
    test = doctest.DocTestParser().get_doctest(code, namespace, name, name, line)
    test.globs = namespace
    output: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(
        test, out=output.append, clear_globs=False
    )
    if output:
        pytest.fail("".join(output), pytrace=False)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_python_blocks_of_a_page_run(
    page: Path, tmp_path: Path, verdict_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(verdict_path, tmp_path)
    monkeypatch.chdir(tmp_path)
    tokenizer = tokenmill.train_bpe("the-verdict.txt", vocab_size=300)
    tokenmill.prepare("the-verdict.txt", tokenizer=tokenizer, out="corpus.tm")
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in FENCE.finditer(text):
        run_block(block[1], namespace, page_name(page), text.count("\n", 0, block.start(1)))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_local_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
