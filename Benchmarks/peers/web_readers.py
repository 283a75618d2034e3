"""Reads a web application with many clients at a time: python3 web_readers.py ADDRESS READERS SECONDS PATH...

Each reader keeps its connection and asks for one path after another. Prints, as JSON, the requests, the errors, and for each path the median
and the 95th percentile of the milliseconds from a request's first byte to the last of its answer.
"""
import asyncio
import json
import random
import sys
import time
import urllib.parse


async def ask(reader, writer, host, path):
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    await reader.readexactly(length)
    return status


async def read(number, place, seconds, paths, times, errors):
    chance = random.Random(number)
    end = time.monotonic() + seconds
    writer = None
    while time.monotonic() < end:
        path = chance.choice(paths)
        started = time.perf_counter()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(place.hostname, place.port)
            status = await asyncio.wait_for(ask(reader, writer, place.netloc, path), 30)
            if status != 200:
                errors.append(f"{path}: status {status}")
            times[path].append((time.perf_counter() - started) * 1000)
        except Exception as error:
            errors.append(f"{path}: {error!r}")
            if writer:
                writer.close()
            writer = None
    if writer:
        writer.close()


async def main():
    place = urllib.parse.urlsplit(sys.argv[1])
    readers, seconds, paths = int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
    times, errors = {path: [] for path in paths}, []
    await asyncio.gather(*(read(number, place, seconds, paths, times, errors) for number in range(readers)))

    def quantile(values, share):
        return round(sorted(values)[min(len(values) - 1, int(share * len(values)))], 2) if values else None

    print(json.dumps({
        "requests": sum(map(len, times.values())), "errors": len(errors), "firstErrors": errors[:5],
        "milliseconds": {path: {"p50": quantile(all, 0.5), "p95": quantile(all, 0.95)} for path, all in times.items()},
    }))


asyncio.run(main())
