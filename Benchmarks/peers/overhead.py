"""The work of OverheadBenchmark.swift in Python's torch. Reads "CASE ITERATIONS" a line, answers with seconds an iteration."""

import sys
import time

import torch

torch.set_num_threads(1)

a, b = torch.ones(4, 4), torch.ones(4, 4)

x = torch.ones(4, 8)
layers = [
    (torch.full((8, 8), 0.1).requires_grad_(), torch.zeros(8).requires_grad_())
    for _ in range(5)
]
parameters = [tensor for layer in layers for tensor in layer]


def mul():
    a * b


def five_layers():
    h = x
    for weight, bias in layers:
        h = torch.nn.functional.linear(h, weight, bias).tanh()
    torch.autograd.grad(h.square().mean(), parameters)


cases = {"mul": mul, "five_layers": five_layers}

for line in sys.stdin:
    name, iterations = line.split()
    body = cases[name]
    count = range(int(iterations))
    start = time.perf_counter()
    for _ in count:
        body()
    print((time.perf_counter() - start) / int(iterations))
