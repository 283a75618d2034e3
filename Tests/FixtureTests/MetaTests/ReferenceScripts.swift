/// Python that makes small fixtures of other seeds and shapes: the published recurrences written out, in float64.
enum ReferenceScripts {
    /// Arguments: folder, seed. Writes `l2norm_…`, `gla_…_state`, `delta_rule_…` and `retention_…`.
    static let make: String = """
        import sys, torch
        from safetensors.torch import save_file
        folder, seed = sys.argv[1], int(sys.argv[2])
        generator = torch.Generator().manual_seed(seed)

        def exact(t): return t.float().double()
        def normal(*shape): return exact(torch.randn(*shape, generator=generator, dtype=torch.float64))

        def save(name, inputs, options, outputs, constants={}):
            cotangents = {key: normal(*value.shape) for key, value in outputs.items()}
            loss = sum((outputs[key] * cotangents[key]).sum() for key in cotangents)
            tensors = {}
            def both(prefix, key, value):
                value = value.detach().clone().contiguous()
                tensors[f"{prefix}.{key}"], tensors[f"{prefix}64.{key}"] = value.float(), value
            for key, value in inputs.items(): tensors["in." + key] = value.detach().float()
            for key, value in options.items(): tensors["in." + key] = value
            for key, value in cotangents.items(): tensors["cot." + key] = value.float()
            for key, value in outputs.items(): both("out", key, value)
            for key, value in constants.items(): both("const", key, value)
            both("out", "loss", loss.reshape(1))
            for key, value in zip(inputs, torch.autograd.grad(loss, list(inputs.values()))): both("grad", key, value)
            save_file(tensors, f"{folder}/{name}.safetensors")

        def leaves(**inputs): return {key: value.requires_grad_() for key, value in inputs.items()}

        x = leaves(x=normal(2, 3 + seed % 3, 8))
        save("l2norm_b2_d8", x, {"eps": torch.tensor([1e-6], dtype=torch.float64)},
             {"y": x["x"] / (x["x"].square().sum(-1, keepdim=True) + 1e-6).sqrt()})

        B, T, H, K, V = 2, 5 + seed % 4, 3, 4, 6
        def heads(*size): return normal(B, T, H, *size)

        def recurrence(step, q, state):
            outputs = []
            for t in range(T):
                state = step(t, state)
                outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t] * K ** -0.5, state))
            return torch.stack(outputs, 1), state

        def outer(k, v): return torch.einsum("bhk,bhv->bhkv", k, v)

        i = leaves(q=heads(K), k=heads(K), v=heads(V), g=-exact(heads(K).abs()), state=normal(B, H, K, V))
        o, s = recurrence(lambda t, s: i["g"][:, t].exp()[..., None] * s + outer(i["k"][:, t], i["v"][:, t]), i["q"], i["state"])
        save(f"gla_b{B}_t{T}_state", i, {}, {"o": o, "state": s})

        unit = heads(K)
        i = leaves(q=heads(K), k=exact(unit / unit.norm(dim=-1, keepdim=True)), v=heads(V), beta=exact(heads().sigmoid()))
        def delta(t, s):
            k, v, beta = i["k"][:, t], i["v"][:, t], i["beta"][:, t, :, None]
            return s + outer(k, beta * (v - torch.einsum("bhkv,bhk->bhv", s, k)))
        o, s = recurrence(delta, i["q"], torch.zeros(B, H, K, V, dtype=torch.float64))
        save(f"delta_rule_b{B}_t{T}", i, {}, {"o": o, "state": s})

        i = leaves(q=heads(K), k=heads(K), v=heads(V))
        gamma = 1 - 2.0 ** (-5 - torch.arange(H, dtype=torch.float64))
        o, s = recurrence(lambda t, s: gamma[:, None, None] * s + outer(i["k"][:, t], i["v"][:, t]), i["q"],
                          torch.zeros(B, H, K, V, dtype=torch.float64))
        save(f"retention_b{B}_t{T}", i, {}, {"o": o, "state": s}, {"log_decay": gamma.log()})
        """
}
