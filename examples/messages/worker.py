"""Resizes images, as a pool: each call goes to one instance. How far it is goes to whoever watches `progress.**`."""

import os

from pm_native.runtime import ipc

client = ipc.connect()


def resize(message):
    image = message.body["image"]
    for percent in (50, 100):
        client.publish(f"progress.resize.{image}", {"percent": percent})
    return {"image": image, "by": int(os.environ["PM_NATIVE_INSTANCE"]), "for": message.sender["process"]}


client.serve({"resize": resize})
