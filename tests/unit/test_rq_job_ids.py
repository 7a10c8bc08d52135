"""Names of RQ jobs: id and argument list the conversations that a job carries."""

from __future__ import annotations

import pytest
from rq.job import validate_job_id

from buffer.keys import ref_of
from buffer.models import Conversation, Due
from worker.rq.job_ids import group_into_jobs, refs_of_argument, refs_of_id

REFS = [ref_of(Conversation("generic", "loja", f"p{number}"), 16) for number in range(50)]
DUE = [Due(ref, 7 + number) for number, ref in enumerate(REFS)]


@pytest.mark.parametrize("size", [1, 2, 16, 64])
def test_a_job_names_its_conversations(size: int):
    """Id and argument carry the same conversations, all of them once, in their order; RQ accepts the id."""
    jobs = list(group_into_jobs(DUE, size))
    assert len(jobs) == -(-50 // size)
    assert [ref for job in jobs for ref in refs_of_id(job.job_id)] == REFS
    assert [ref for job in jobs for ref in refs_of_argument(job.argument)] == REFS
    assert [job.size for job in jobs] == [len(refs_of_argument(job.argument)) for job in jobs]
    for job in jobs:
        validate_job_id(job.job_id)


def test_a_job_of_one_is_as_ever():
    """`<partition>-<hash>-<number>`, with the conversation's reference as its argument."""
    assert list(group_into_jobs(DUE[:1], 16)) == [(f"{REFS[0]}-7", str(REFS[0]), 1)]


def test_no_id_is_used_twice():
    """The same conversations dispatched again have another number."""
    again = [Due(item.ref, item.dispatch + 50) for item in DUE]
    ids = [job.job_id for due in (DUE, again) for job in group_into_jobs(due, 16)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("job_id", ["", "x", f"{REFS[0]}", f"{REFS[0]}x-7", "0--7", "0-short-7", f"x{REFS[0]}-7"])
def test_what_is_not_ours(job_id: str):
    """The id of another program's job is refused."""
    with pytest.raises(ValueError, match="expected"):
        refs_of_id(job_id)
