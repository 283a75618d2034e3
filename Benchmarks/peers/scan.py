"""The work of ScanBenchmark.swift in Python's torch. Reads "CASE_SIZE_LENGTH_PASS ITERATIONS" a line, answers with seconds an iteration.

selective: a selective scan step by step over time, with decays and writes computed for all steps at once. dense: a time-invariant state space
with dense transitions, step by step."""

import functools
import sys
import time

import torch

torch.set_num_threads(2)
BATCH, ORDER = 2, 16


def selective(u, step, a, b, c):
    decays = torch.exp(step.unsqueeze(-1) * a)
    writes = (step * u).unsqueeze(-1) * b.unsqueeze(2)
    state = torch.zeros_like(writes[:, 0])
    outputs = []
    for t in range(u.shape[1]):
        state = decays[:, t] * state + writes[:, t]
        outputs.append(torch.einsum("bdn,bn->bd", state, c[:, t]))
    return torch.stack(outputs, 1)


@functools.lru_cache(maxsize=1)
def selective_inputs(channels, length):
    torch.manual_seed(0)
    shape, maps = (BATCH, length, channels), (BATCH, length, ORDER)
    tensors = [
        torch.randn(shape),
        torch.nn.functional.softplus(torch.randn(shape) - 3),
        -torch.arange(1.0, ORDER + 1).repeat(channels, 1),
        torch.randn(maps),
        torch.randn(maps),
    ]
    return [x.requires_grad_() for x in tensors], torch.randn(shape)


def run_selective(channels, length, both):
    leaves, weights = selective_inputs(channels, length)
    if both:
        torch.autograd.grad(selective(*leaves), leaves, weights)
    else:
        with torch.no_grad():
            selective(*leaves)


@functools.lru_cache(maxsize=1)
def dense_inputs(features, length):
    torch.manual_seed(0)
    return torch.randn(features, 32, 32) * 0.1, torch.randn(features, 32), torch.randn(features, 1, 32), torch.randn(BATCH, features, length)


def run_dense(features, length, _):
    """`features` systems of order 32: x ← A x + B u, y = C x."""
    a, b, c, u = dense_inputs(features, length)
    with torch.no_grad():
        state = torch.zeros(BATCH, features, 32)
        outputs = []
        for t in range(length):
            state = torch.einsum("hnk,bhk->bhn", a, state) + u[:, :, t, None] * b
            outputs.append(torch.einsum("hmn,bhn->bhm", c, state))
        torch.stack(outputs, -1)


runs = {"selective": run_selective, "dense": run_dense}

for line in sys.stdin:
    name, iterations = line.split()
    operator, width, length, which = name.split("_")
    count = range(int(iterations))
    start = time.perf_counter()
    for _ in count:
        runs[operator](int(width), int(length), which == "both")
    print((time.perf_counter() - start) / int(iterations), flush=True)
