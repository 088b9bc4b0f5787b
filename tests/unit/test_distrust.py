"""What `sharedkit.attach` refuses for a file's kind, mode or owner: said by its error, by `doctor` and by `why`."""

from __future__ import annotations

import errno
import json
import os
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner

import sharedkit as sk
from sharedkit import segments
from sharedkit._core.distrust import distrust
from sharedkit._core.segment import FOLDER
from sharedkit.commands import findings
from sharedkit.commands.root import root

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to other users")
NOBODY = 65534
FAR = 4321  # a group that no process is in


def path_of(name: str) -> Path:
    return Path(FOLDER) / segments.shared_memory_name(name)


@pytest.fixture
def name() -> Iterator[str]:
    made = f"test-distrust-{uuid.uuid4().hex}"
    with closing(sk.Lock(name=made)):
        yield made
    path_of(made).unlink(missing_ok=True)


def in_child(function: Callable[[], object]) -> None:
    """Run the function in a child, which may change its user."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def is_attached(name: str, trust: str | None = None) -> bool:
    try:
        segments.Segment.attach(str(path_of(name)), name, trust, present=False)
    except OSError as why:
        assert why.errno == errno.EACCES
        return False
    return True


@root_only
@pytest.mark.parametrize("user", [0, NOBODY])
def test_the_words_agree_with_the_kernel_for_every_mode_owner_and_group(name: str, user: int) -> None:
    path = path_of(name)
    modes = (0o600, 0o620, 0o660, 0o640, 0o644, 0o664, 0o602, 0o606, 0o666, 0o400, 0o200)

    def compare() -> None:
        os.setgroups([user])
        os.setegid(user)
        ways = {"None": 0, "group": 0, "chmod": 0, "made": 0}
        for mode, owner, group in product(modes, (0, NOBODY, 1000), (0, NOBODY, FAR)):
            os.seteuid(0)
            os.chown(path, owner, group)
            path.chmod(mode)
            os.seteuid(user)
            found = distrust(str(path))
            case = (oct(mode), owner, group, found)
            assert (found is None) == is_attached(name), case
            how = "None" if found is None else "group" if found.do.startswith("attach") else "made"
            how = "chmod" if found is not None and "chmod" in found.do else how
            assert is_attached(name, "group") == (how in ("None", "group")), case
            assert found is None or f"(mode {mode:04o}, user {owner}, group {group})" in found.why, case
            ways[how] += 1
        assert all(ways[way] for way in ways if way != "made" or user), ways

    in_child(compare)


CASES = [
    (lambda path: path.chmod(0o666), "every user may write its file (mode 0666, ", "chmod o-w {path}"),
    (lambda path: path.chmod(0o660), "a group may write its file (mode 0660, ", 'attach it with trust="group"'),
    (lambda path: os.chown(path, NOBODY, FAR), "its file belongs to another user (mode 0600, user 65534, ", "its user"),
    (lambda path: (path.unlink(), path.symlink_to("/dev/null")), "it is no regular file", "remove it"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "why", "do"), CASES, ids=["everybody", "group", "user", "link"])
def test_each_tool_says_why_attach_refuses_and_what_to_do(
    spoil: Callable[[Path], object], why: str, do: str, name: str
) -> None:
    if "belongs" in why and os.geteuid() != 0:
        pytest.skip("only root may give files to other users")
    path = path_of(name)
    assert not [each for each in findings.leftovers() if name in each.says]
    assert (
        json.loads(CliRunner().invoke(root, ["why", "--json", "--for", "0.01", name]).output)["structures"][0][
            "untrusted"
        ]
        is None
    )
    spoil(path)
    do = do.format(path=path)
    with pytest.raises(sk.UntrustedSegmentError) as refused:
        segments.Segment.attach(str(path), name)
    assert refused.value.strerror is not None
    assert why in refused.value.strerror
    assert do in refused.value.strerror
    (finding,) = (each for each in findings.leftovers() if name in each.says)
    assert (finding.what, finding.verdict) == ("untrusted", "note")
    assert finding.says.startswith(f"{name!r}: `attach` refuses it, because {why}")
    assert do in finding.do
    told = CliRunner().invoke(root, ["why", "--for", "0.01", name])
    if path.is_symlink():  # nothing can be inspected
        assert (told.exit_code, f"{name!r}: {why}" in told.output, do in told.output) == (2, True, True)
        return
    (line,) = (line for line in told.output.splitlines() if "refuses" in line)
    assert line.startswith(f"  `attach` refuses it, because {why}")
    assert do in line
    document = json.loads(CliRunner().invoke(root, ["why", "--json", "--for", "0.01", name]).output)["structures"][0]
    assert document["untrusted"]["why"].startswith(why)
    assert do in document["untrusted"]["do"]
    path.chmod(0o600)


def test_segments_with_the_same_reason_are_one_finding(name: str) -> None:
    with closing(sk.Lock(name=f"{name}-second", mode=0o660)), closing(sk.Lock(name=f"{name}-third", mode=0o660)):
        found = [each for each in findings.leftovers() if name in each.says]
    assert [each.what for each in found] == ["untrusted"]
    assert found[0].says.startswith(f"'{name}-second', '{name}-third': ")
