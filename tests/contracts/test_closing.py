"""Closing leaves nothing behind: no task, no descriptor, no process."""

import asyncio
import gc
import os
from typing import Any

import psutil
from tests.contracts.subject import Holder, Subject, only


def _held() -> tuple[int, int]:
    gc.collect()
    me = psutil.Process()
    return me.num_fds(), len(me.children(recursive=True))


async def test_sessions_that_come_and_go_leave_nothing_behind(subject: Subject) -> None:
    holder: Holder = await subject.open()
    await holder.session.close()
    await _come_and_go(holder)
    before, tasks = _held(), len(asyncio.all_tasks())
    for _ in range(3):
        await _come_and_go(holder)
    await subject.until(lambda: len(asyncio.all_tasks()) <= tasks)
    await subject.until(lambda: _held()[0] <= before[0] and _held()[1] <= before[1])
    assert os.getpid()


async def _come_and_go(holder: Holder) -> None:
    await holder.open()
    await holder.send()
    holder.say("hello")
    await holder.subject.until(lambda: holder.heard.inbound)
    holder.session.acknowledge([i.provider_id for i in holder.heard.inbound])
    await holder.session.close()


@only(lambda subject: subject.keeps_files)  # whose sessions are one object each, with credentials in it
async def test_what_was_closed_and_let_go_is_not_remembered_with_its_credentials(subject: Subject) -> None:
    holder = await subject.open()
    await holder.send()
    await holder.session.close()
    sessions: Any = vars(vars(subject.transport)["inner"])["_sessions"]
    assert list(sessions) == [holder.number.id]
    holder.sessions.clear()
    holder.heards.clear()
    gc.collect()
    assert not list(sessions)
