"""Keys of `[nginx]` that exclude each other."""

import pytest

from wellkeeper_node.nginx.control import Test as TestBy
from wellkeeper_node.nginx.control import find_conflict


@pytest.mark.parametrize("key", ["command", "pid_file", "reload", "reload_command", "test", "error_log"])
def test_agent_excludes_what_it_finds_itself(key: str) -> None:
    assert find_conflict({"agent", key}, "command").startswith(f"{key} and agent cannot be combined")


@pytest.mark.parametrize(
    ("given", "test", "words"),
    [
        ("test pid_file error_log reload_command", "reload", ""),
        ("command pid_file error_log reload_command test", "command", ""),
        ("agent https_addresses", "command", ""),
        ("command test", "reload", 'command and test = "reload" cannot be combined'),
        ("reload test", "reload", 'reload and test = "reload" cannot be combined'),
    ],
)
def test_other_keys_go_together_unless_there_is_nothing_to_run(given: str, test: TestBy, words: str) -> None:
    found = find_conflict(given.split(), test)
    assert found.startswith(words)
    assert bool(found) == bool(words)
