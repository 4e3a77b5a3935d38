"""A program that holds connections and opens a new one for each that is closed: COUNT, ADDRESS, WORDS, UID.

WORDS, in hexadecimal, is what each connection sends and then no more. It prints a line once all were open.
"""

import asyncio
import os
import sys


async def hold(address: str, words: bytes, opened: asyncio.Semaphore) -> None:
    while True:
        try:
            if address.startswith("/"):
                reader, writer = await asyncio.open_unix_connection(address)
            else:
                host, _, port = address.rpartition(":")
                reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(words)
            opened.release()
            while await reader.read(4096):
                pass
            writer.close()
        except OSError:
            await asyncio.sleep(0.05)


async def main(count: int, address: str, words: bytes) -> None:
    opened = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(hold(address, words, opened))
        for _ in range(count):
            await opened.acquire()
        print("open", flush=True)  # noqa: T201 - to the test


def become(uid: int) -> None:
    """Give up root, if this is root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


if __name__ == "__main__":
    become(int(sys.argv[4]))
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], bytes.fromhex(sys.argv[3])))
