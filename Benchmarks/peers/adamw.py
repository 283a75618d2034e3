"""The work of AdamWStep.swift in Python's torch. Reads "VARIANT_SIZE ITERATIONS" a line, answers with seconds a step."""

import functools
import sys
import time

import torch

torch.set_num_threads(1)

options = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}


@functools.cache
def optimizer(variant, size):
    parameters = [torch.ones(size, size).requires_grad_() for _ in range(200)]
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 0.01)
    return torch.optim.AdamW(parameters, **options[variant])


for line in sys.stdin:
    name, iterations = line.split()
    variant, size = name.split("_")
    step = optimizer(variant, int(size)).step
    count = range(int(iterations))
    start = time.perf_counter()
    for _ in count:
        step()
    print((time.perf_counter() - start) / int(iterations))
