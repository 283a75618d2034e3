/// The diffusion transformer written again with torch's functions, from a checkpoint's names alone.
///
/// Arguments: a safetensors file with the model's tensors and the input `x`, `t`, `y`; the output file; heads; softmax or linear.
enum DiTReference {
    static let script: String = """
        import math, sys, torch
        from safetensors.torch import load_file, save_file
        F = torch.nn.functional
        w, heads, linear = load_file(sys.argv[1]), int(sys.argv[3]), sys.argv[4] == "linear"
        x, t, y = w["x"], w["t"], w["y"]
        B, C, side = x.shape[0], x.shape[1], x.shape[2]
        patch = w["x_embedder.proj.weight"].shape[-1]
        D, grid = w["x_embedder.proj.weight"].shape[0], side // patch

        def dense(v, name): return F.linear(v, w[name + ".weight"], w[name + ".bias"])
        def norm(v, shift, scale):
            v = (v - v.mean(-1, keepdim=True)) / torch.sqrt(v.var(-1, unbiased=False, keepdim=True) + 1e-6)
            return v * (1 + scale[:, None]) + shift[:, None]

        def attention(v, name):
            q, k, u = [part.reshape(B, -1, heads, D // heads).transpose(1, 2) for part in dense(v, name + ".qkv").chunk(3, -1)]
            if linear:
                a = torch.relu(q) @ torch.relu(k).transpose(2, 3)
                a = a / (a.sum(-1, keepdim=True) + 1e-6)
            else:
                a = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(D // heads), -1)
            out = (a @ u).transpose(1, 2).reshape(B, -1, D)
            if linear:
                planes = u.transpose(1, 2).reshape(B, grid, grid, D).permute(0, 3, 1, 2)
                kernel = w[name + ".dwc.weight"]
                local = F.conv2d(planes, kernel, w[name + ".dwc.bias"], padding=kernel.shape[-1] // 2, groups=D)
                out = out + local.permute(0, 2, 3, 1).reshape(B, -1, D)
            return dense(out, name + ".proj")

        positions = torch.zeros(grid * grid, D, dtype=torch.float64)
        for row in range(grid):
            for column in range(grid):
                for i in range(D // 4):
                    rate = 10000 ** (-i / (D // 4))
                    for half, place in enumerate([column, row]):
                        positions[row * grid + column, half * D // 2 + i] = math.sin(place * rate)
                        positions[row * grid + column, half * D // 2 + D // 4 + i] = math.cos(place * rate)

        tokens = torch.stack([
            torch.einsum("bcij,dcij->bd", x[:, :, r * patch:(r + 1) * patch, s * patch:(s + 1) * patch], w["x_embedder.proj.weight"])
            for r in range(grid) for s in range(grid)], 1) + w["x_embedder.proj.bias"] + w["pos_embed"]
        angles = t.double()[:, None] * torch.exp(-math.log(10000) * torch.arange(128, dtype=torch.float64) / 128)
        c = torch.cat([angles.cos(), angles.sin()], 1)
        c = dense(F.silu(dense(c, "t_embedder.mlp.0")), "t_embedder.mlp.2") + w["y_embedder.embedding_table.weight"][y]
        block = 0
        while f"blocks.{block}.mlp.fc1.weight" in w:
            name = f"blocks.{block}"
            b1, s1, g1, b2, s2, g2 = dense(F.silu(c), name + ".adaLN_modulation.1").chunk(6, 1)
            tokens = tokens + g1[:, None] * attention(norm(tokens, b1, s1), name + ".attn")
            hidden = F.gelu(dense(norm(tokens, b2, s2), name + ".mlp.fc1"), approximate="tanh")
            tokens = tokens + g2[:, None] * dense(hidden, name + ".mlp.fc2")
            block += 1
        shift, scale = dense(F.silu(c), "final_layer.adaLN_modulation.1").chunk(2, 1)
        patches = dense(norm(tokens, shift, scale), "final_layer.linear").reshape(B, grid, grid, patch, patch, 2 * C)
        image = torch.zeros(B, 2 * C, side, side, dtype=torch.float64)
        for r in range(side):
            for s in range(side):
                image[:, :, r, s] = patches[:, r // patch, s // patch, r % patch, s % patch]
        save_file({"noise": image[:, :C].contiguous(), "variance": image[:, C:].contiguous(), "positions": positions[None]}, sys.argv[2])
        """
}
