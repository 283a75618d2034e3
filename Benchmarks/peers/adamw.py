"""Microseconds of one AdamW step over 200 small float32 matrices in torch, as `SIZE VARIANT TIME` lines; the fastest of several rounds."""
import sys
import time

import torch


def microseconds(size, count=200, rounds=20, steps_per_round=10, **variant):
    parameters = [torch.ones(size, size, requires_grad=True) for _ in range(count)]
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 0.01)
    optimizer = torch.optim.AdamW(parameters, **variant)
    for _ in range(3):
        optimizer.step()
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(steps_per_round):
            optimizer.step()
        best = min(best, time.perf_counter() - start)
    return best / steps_per_round * 1e6


for size in map(int, sys.argv[1:] or ["8", "32", "64"]):
    for name, variant in [("default", {}), ("foreach", {"foreach": True}), ("fused", {"fused": True})]:
        print(size, name, round(microseconds(size, **variant), 1), flush=True)
