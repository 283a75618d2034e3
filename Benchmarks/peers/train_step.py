"""The model and step of TrainStepBenchmark.swift in Python's torch, eager. Reads "torch ITERATIONS" or "mlx ITERATIONS" a line, answers with
seconds an iteration; without MLX the answer to mlx says so."""

import importlib.util
import sys
import time

BATCH, LENGTH, VOCABULARY = 4, 512, 256
WIDTH, LAYERS, HEADS, HIDDEN = 320, 8, 5, 864


def torch_step():
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    import kernels

    torch.set_num_threads(2)

    class DeltaNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.ModuleList(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))
            self.convolutions = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 4, groups=WIDTH, padding=3, bias=False) for _ in range(3))
            self.strength = nn.Linear(WIDTH, HEADS, bias=False)
            self.norm = nn.RMSNorm(WIDTH // HEADS, eps=1e-5)
            self.output = nn.Linear(WIDTH, WIDTH, bias=False)

        def forward(self, x):
            q, k, v = (
                F.silu(convolution(projection(x).mT)[..., :LENGTH].mT).unflatten(-1, (HEADS, -1))
                for projection, convolution in zip(self.qkv, self.convolutions)
            )
            q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
            mixed = kernels.delta(q, k, v, self.strength(x).sigmoid())
            return self.output(self.norm(mixed).flatten(2))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.mixer_norm, self.mixer = nn.RMSNorm(WIDTH, eps=1e-5), DeltaNet()
            self.norm = nn.RMSNorm(WIDTH, eps=1e-5)
            self.gate, self.up = nn.Linear(WIDTH, HIDDEN, bias=False), nn.Linear(WIDTH, HIDDEN, bias=False)
            self.down = nn.Linear(HIDDEN, WIDTH, bias=False)

        def forward(self, x):
            x = x + self.mixer(self.mixer_norm(x))
            h = self.norm(x)
            return x + self.down(F.silu(self.gate(h)) * self.up(h))

    torch.manual_seed(0)
    embedding = nn.Embedding(VOCABULARY, WIDTH)
    nn.init.normal_(embedding.weight, std=0.02)
    model = nn.Sequential(embedding, *(Block() for _ in range(LAYERS)), nn.RMSNorm(WIDTH, eps=1e-5))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    tokens = torch.randint(VOCABULARY, (BATCH, LENGTH + 1))

    def step():
        optimizer.zero_grad(set_to_none=True)
        logits = model(tokens[:, :-1]) @ embedding.weight.mT
        F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        optimizer.step()

    return step


def mlx_step():
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optimizers

    mx.set_default_device(mx.cpu)
    chunk, width = 64, WIDTH // HEADS

    def chunks(x):
        return x.transpose(0, 2, 1, 3).reshape(BATCH * HEADS, LENGTH // chunk, chunk, -1)

    mask, strict = mx.tril(mx.ones((chunk, chunk))), mx.tril(mx.ones((chunk, chunk)), -1)

    def inverse(system):
        """(I + L)⁻¹ of a strictly lower triangular L as a product of I + (−L)^(2^i), which MLX can differentiate."""
        identity, power = mx.eye(chunk), -system
        result = identity + power
        for _ in range(5):
            power = power @ power
            result = result + result @ power
        return result

    def delta(q, k, v, beta):
        q, k, v, beta = chunks(q) * width**-0.5, chunks(k), chunks(v), chunks(beta[..., None])
        weighted = beta * k
        solved = inverse((weighted @ k.swapaxes(-1, -2)) * strict)
        w, u = solved @ weighted, solved @ (beta * v)
        state = mx.zeros((BATCH * HEADS, width, width))
        states, written = [], []
        for i in range(LENGTH // chunk):
            states.append(state)
            change = u[:, i] - w[:, i] @ state
            written.append(change)
            state = state + k[:, i].swapaxes(-1, -2) @ change
        output = q @ mx.stack(states, 1) + ((q @ k.swapaxes(-1, -2)) * mask) @ mx.stack(written, 1)
        return output.reshape(BATCH, HEADS, LENGTH, width).transpose(0, 2, 1, 3)

    class DeltaNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = [nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3)]
            self.convolutions = [mx.random.uniform(-0.5, 0.5, (4, WIDTH)) for _ in range(3)]
            self.strength = nn.Linear(WIDTH, HEADS, bias=False)
            self.norm = nn.RMSNorm(width, eps=1e-5)
            self.output = nn.Linear(WIDTH, WIDTH, bias=False)

        def convolved(self, x, weight):
            # Four shifted products are faster here than MLX's grouped convolution on the CPU.
            padded = mx.pad(x, [(0, 0), (3, 0), (0, 0)])
            return sum(padded[:, i : i + LENGTH] * weight[i] for i in range(4))

        def __call__(self, x):
            q, k, v = (
                nn.silu(self.convolved(projection(x), weight)).reshape(BATCH, LENGTH, HEADS, width)
                for projection, weight in zip(self.qkv, self.convolutions)
            )
            q, k = (t * mx.rsqrt((t * t).sum(-1, keepdims=True) + 1e-6) for t in (q, k))
            mixed = delta(q, k, v, mx.sigmoid(self.strength(x)))
            return self.output(self.norm(mixed).reshape(BATCH, LENGTH, WIDTH))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.mixer_norm, self.mixer, self.norm = nn.RMSNorm(WIDTH, eps=1e-5), DeltaNet(), nn.RMSNorm(WIDTH, eps=1e-5)
            self.gate, self.up = nn.Linear(WIDTH, HIDDEN, bias=False), nn.Linear(WIDTH, HIDDEN, bias=False)
            self.down = nn.Linear(HIDDEN, WIDTH, bias=False)

        def __call__(self, x):
            x = x + self.mixer(self.mixer_norm(x))
            h = self.norm(x)
            return x + self.down(nn.silu(self.gate(h)) * self.up(h))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, WIDTH)
            self.blocks = [Block() for _ in range(LAYERS)]
            self.norm = nn.RMSNorm(WIDTH, eps=1e-5)

        def __call__(self, tokens):
            x = self.embedding(tokens)
            for block in self.blocks:
                x = block(x)
            return self.embedding.as_linear(self.norm(x))

    model = Model()
    optimizer = optimizers.AdamW(1e-3)
    tokens = mx.random.randint(0, VOCABULARY, (BATCH, LENGTH + 1))
    gradient = nn.value_and_grad(model, lambda: nn.losses.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:], reduction="mean"))

    def step():
        loss, gradients = gradient()
        optimizer.update(model, gradients)
        mx.eval(loss, model.parameters(), optimizer.state)

    return step


if __name__ == "__main__":
    steps = {}
    for line in sys.stdin:
        name, iterations = line.split()
        if name == "mlx" and importlib.util.find_spec("mlx") is None:
            print("mlx is not installed", flush=True)
            continue
        if name not in steps:
            steps[name] = {"torch": torch_step, "mlx": mlx_step}[name]()
        start = time.perf_counter()
        for _ in range(int(iterations)):
            steps[name]()
        print((time.perf_counter() - start) / int(iterations), flush=True)
