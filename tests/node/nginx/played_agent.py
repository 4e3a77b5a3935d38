"""An agent that a test plays: it answers each question with what the test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path


class PlayedAgent:
    """`answers` maps the word of a question to status and output; `asked` lists the names of the questions.

    Its heart beats whenever it looks at the questions, as long as `is_alive`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.questions = folder / "questions"
        self.answers = folder / "answers"
        self.said: dict[str, list[tuple[str, str]]] = {}
        self.asked: list[str] = []
        self.is_alive = True
        self.nginx = "1 2 0"
        self._count = 0
        self.questions.mkdir()
        self.answers.mkdir(0o700)
        self.beat()

    def beat(self) -> None:
        self._count += 1
        new = self.answers / "heartbeat.new"
        new.write_text(f"pid:[1].7.99 {self._count} {self.nginx}\n")
        new.rename(self.answers / "heartbeat")

    def look(self) -> None:
        """Beat, and answer every new question."""
        if not self.is_alive:
            return
        self.beat()
        for path in self.questions.glob("*.*"):
            if path.name not in self.asked:
                self.asked.append(path.name)
                self._answer(*path.name.split("."))

    def _answer(self, number: str, word: str) -> None:
        status, output = self.said[word].pop(0)
        if output:
            (self.answers / f"{number}.output").write_text(output)
        if status:
            (self.answers / f"{number}.status").write_text(f"{status}\n")


@asynccontextmanager
async def playing(agent: PlayedAgent, at_look: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    """Let the agent look at the questions at each turn of the event loop, until the end of the block."""

    async def play() -> None:
        while True:
            agent.look()
            at_look()
            await asyncio.sleep(0)

    task = asyncio.create_task(play())
    try:
        yield
    finally:
        task.cancel()
