"""Find the commands of cron that run a program, rather than name it in a path, a message or a comment."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from wellkeeper_issuer.outside.host.cron import CronLine
from wellkeeper_issuer.outside.host.shell_words import commands

# Programs that print the words after them, or read the files that they name.
_NOT_RUNNING: Final = frozenset({"echo", "printf", "logger", "tar", "cp", "rsync", "rm", "ls", "chown", "chmod", "du"})
_TRIALS: Final = frozenset({"--dry-run", "--staging", "--help", "-h", "--version"})
_DATA: Final = frozenset({".log", ".lock", ".pid"})


@dataclass(frozen=True, slots=True)
class Job:
    """A program with the arguments with which cron runs it; `place` is FILE:LINE."""

    place: str
    program: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.program, *self.arguments))


def jobs_of(program: str, cron: Iterable[CronLine]) -> Iterator[Job]:
    """Yield where cron runs this program, not as a trial. The schedule, users and programs such as flock precede it."""
    for line in cron:
        for words in commands(line.text):
            for index, word in enumerate(words):
                arguments = words[index + 1 :]
                if PurePath(word).name == program and not _TRIALS & set(arguments) and _may_run(words[:index]):
                    yield Job(line.place, program, arguments)


def scripts_of(program: str, cron: Iterable[CronLine]) -> Iterator[Job]:
    """Yield the programs that are named after the renewals of this one: their contents are unknown."""
    for line in cron:
        for words in commands(line.text):
            for index, word in enumerate(words):
                path = PurePath(word)
                is_named = path.name != program and program in path.name and "renew" in path.name
                if is_named and path.suffix not in _DATA and _may_run(words[:index]):
                    yield Job(line.place, word, words[index + 1 :])


def _may_run(before: Iterable[str]) -> bool:
    return _NOT_RUNNING.isdisjoint(PurePath(word).name for word in before)
