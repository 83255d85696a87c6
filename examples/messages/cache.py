"""Keeps users in memory, in each instance; forgets one when somebody says that it has changed."""

import asyncio

from pm_native.runtime import ipc

users = {"7": "ada", "8": "bob"}


async def main():
    async with ipc.connect_async() as client:
        await client.serve({"keys": lambda message: sorted(users)})
        async for message in await client.subscribe("cache.**"):
            users.pop(message.body["id"], None)


asyncio.run(main())
