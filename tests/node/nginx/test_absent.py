"""A host without nginx has nothing to reload, and uses no file."""

from wellkeeper_node import model
from wellkeeper_node.nginx.absent import AbsentNginx
from wellkeeper_node.ports import Nginx


async def test_there_is_nothing_to_do() -> None:
    nginx: Nginx = AbsentNginx()
    await nginx.prove()
    tested = await nginx.test()
    assert tested == model.Tested(passed=True, words="", seconds=0.0)
    assert (await nginx.reload(tested), await nginx.finishing()) == (0, 0)
    assert (await nginx.servers(), await nginx.named(["/x"])) == ((), {})
    assert not await AbsentNginx().mentions("/x")
