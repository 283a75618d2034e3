"""The work of KernelBenchmark.swift in Python's torch: the same chunkwise algorithms, batched over all chunks, with one small update a chunk
for the state. Reads "OP_D_T_PASS ITERATIONS" a line (PASS is forward or both), answers with seconds an iteration."""

import functools
import sys
import time

import torch

torch.set_num_threads(2)
BATCH, HEADS, CHUNK = 2, 4, 64


def chunks(x):
    """[B, T, H, D] as [B·H, n, C, D]."""
    batch, length, heads, width = x.shape
    return x.transpose(1, 2).reshape(batch * heads, length // CHUNK, CHUNK, width)


def joined(x, batch):
    return x.reshape(batch, -1, x.shape[1] * x.shape[2], x.shape[3]).transpose(1, 2)


def entering(updates, decays):
    """States [B·H, n, K, V] before each chunk, from S ← decay ⊙ S + update."""
    state = torch.zeros_like(updates[:, 0])
    states = []
    for index, update in enumerate(updates.unbind(1)):
        states.append(state)
        state = state + update if decays is None else torch.addcmul(update, decays[:, index], state)
    return torch.stack(states, 1)


def additive(q, k, v):
    batch = q.shape[0]
    q, k, v = chunks(q) * q.shape[-1] ** -0.5, chunks(k), chunks(v)
    states = entering(k.mT @ v, None)
    return joined((q @ k.mT).tril() @ v + q @ states, batch)


def scalar(q, k, v, gate):
    batch = q.shape[0]
    q, k, v = chunks(q) * q.shape[-1] ** -0.5, chunks(k), chunks(v)
    b = chunks(gate.unsqueeze(-1)).cumsum(2)
    end = b[:, :, -1:]
    between = (b - b.mT).tril().exp().tril()
    states = entering((k * (end - b).exp()).mT @ v, end.exp())
    return joined(((q @ k.mT) * between) @ v + (q * b.exp()) @ states, batch)


def gla(q, k, v, gate):
    """Secondary chunking by halves: the later half of each piece attends to the earlier one through the decay at the border."""
    batch = q.shape[0]
    q, k, v = chunks(q) * q.shape[-1] ** -0.5, chunks(k), chunks(v)
    b = chunks(gate).cumsum(2)
    end = b[:, :, -1:]
    states = entering((k * (end - b).exp()).mT @ v, end.exp().mT)
    output = (q * b.exp()) @ states + (q * k).sum(-1, keepdim=True) * v
    half = CHUNK // 2
    while half >= 1:
        split = lambda x: x.unflatten(2, (-1, 2, half)).unbind(3)
        (_, queries), (keys, _), (values, _) = split(q), split(k), split(v)
        earlier, later = split(b)
        border = earlier[..., -1:, :]
        scores = (queries * (later - border).exp()) @ (keys * (border - earlier).exp()).mT
        added = scores @ values
        output = output + torch.stack([torch.zeros_like(added), added], 3).flatten(2, 4)
        half //= 2
    return joined(output, batch)


def delta(q, k, v, beta):
    """The compact form of a product of Householder-like matrices."""
    batch = q.shape[0]
    q, k, v, beta = chunks(q) * q.shape[-1] ** -0.5, chunks(k), chunks(v), chunks(beta.unsqueeze(-1))
    weighted = beta * k
    system = (weighted @ k.mT).tril(-1)
    right = torch.cat([weighted, beta * v], -1)
    solved = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)
    w, u = solved.split([k.shape[-1], v.shape[-1]], -1)
    state = torch.zeros_like(k[:, 0].mT @ v[:, 0])
    states, written = [], []
    for key, wide, value in zip(k.unbind(1), w.unbind(1), u.unbind(1)):
        states.append(state)
        change = torch.baddbmm(value, wide, state, alpha=-1)
        written.append(change)
        state = torch.baddbmm(state, key.mT, change)
    states, written = torch.stack(states, 1), torch.stack(written, 1)
    return joined(q @ states + (q @ k.mT).tril() @ written, batch)


operators = {"additive": additive, "scalar": scalar, "gla": gla, "delta": delta}


@functools.lru_cache(maxsize=1)
def inputs(name, width, length):
    torch.manual_seed(0)
    shape = (BATCH, length, HEADS, width)
    q, v = torch.randn(shape), torch.randn(shape)
    k = torch.nn.functional.normalize(torch.randn(shape), dim=-1)
    gates = {
        "additive": [],
        "scalar": [-torch.rand(shape[:3]) * 0.1],
        "gla": [-torch.rand(shape) * 0.1],
        "delta": [torch.rand(shape[:3])],
    }[name]
    return [x.requires_grad_() for x in (q, k, v, *gates)], torch.randn(shape)


def run(name, width, length, both):
    leaves, weights = inputs(name, width, length)
    if both:
        torch.autograd.grad(operators[name](*leaves), leaves, weights)
    else:
        with torch.no_grad():
            operators[name](*leaves)


if __name__ == "__main__":
    for line in sys.stdin:
        name, iterations = line.split()
        operator, width, length, which = name.split("_")
        count = range(int(iterations))
        start = time.perf_counter()
        for _ in count:
            run(operator, int(width), int(length), which == "both")
        print((time.perf_counter() - start) / int(iterations), flush=True)
