/// The Python side of the parity tests.
enum TorchReferenceScript {
    static let text: String = preamble + layers + compositions + losses + "\nsave_file(saved, sys.argv[1])\n"

    private static let preamble: String = """
        import sys, torch
        import torch.nn as nn
        import torch.nn.functional as F
        from safetensors.torch import save_file
        torch.manual_seed(11)
        torch.set_num_threads(1)
        saved = {}
        def keep(key, tensor):
            saved[key] = tensor.detach().clone().contiguous()
        def rand(*shape):
            return torch.randn(*shape, dtype=torch.float64)
        def floating(tensors):
            return [t for t in tensors if t.is_floating_point()]
        def record(name, run, inputs, parameters=()):
            parameters = dict(parameters)
            inputs = [t.requires_grad_() if t.is_floating_point() else t for t in inputs]
            outputs = run(*inputs)
            outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
            cotangents = [torch.randn_like(o) for o in outputs]
            loss = sum((o * c).sum() for o, c in zip(outputs, cotangents))
            leaves = floating(inputs) + list(parameters.values())
            gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
            gradients = [torch.zeros_like(l) if g is None else g for g, l in zip(gradients, leaves)]
            for i, t in enumerate(inputs): keep(f"{name}/in.{i}", t)
            for i, t in enumerate(outputs): keep(f"{name}/out.{i}", t)
            for i, t in enumerate(cotangents): keep(f"{name}/cot.{i}", t)
            for i, g in enumerate(gradients[:len(floating(inputs))]): keep(f"{name}/grad.in.{i}", g)
            for key, g in zip(parameters, gradients[len(floating(inputs)):]): keep(f"{name}/grad.state.{key}", g)
        def layer(name, module, *inputs, train=True, run=None, randomize=True):
            module = module.double().train(train)
            if randomize:
                for p in module.parameters(): nn.init.normal_(p, std=0.5)
            for key, t in module.state_dict().items(): keep(f"{name}/state.{key}", t)
            before = {k: v.clone() for k, v in module.named_buffers()}
            record(name, run or module, list(inputs), module.named_parameters())
            for key, t in module.named_buffers():
                if not torch.equal(t, before[key]): keep(f"{name}/after.{key}", t)

        """

    private static let layers: String = """
        layer("linear", nn.Linear(5, 3), rand(2, 4, 5))
        layer("linear_no_bias", nn.Linear(5, 3, bias=False), rand(2, 5))
        layer("embedding", nn.Embedding(7, 4), torch.randint(0, 7, (2, 5)))
        layer("embedding_padding", nn.Embedding(7, 4, padding_idx=2), torch.tensor([[2, 1, 2], [0, 6, 1]]))
        layer("layer_norm", nn.LayerNorm(6), rand(2, 3, 6))
        layer("layer_norm_no_bias", nn.LayerNorm(6, bias=False, eps=1e-3), rand(2, 3, 6))
        layer("layer_norm_plain", nn.LayerNorm(6, elementwise_affine=False), rand(2, 3, 6))
        layer("rms_norm", nn.RMSNorm(6, eps=1e-5), rand(2, 3, 6))
        layer("rms_norm_plain", nn.RMSNorm(6, eps=1e-2, elementwise_affine=False), rand(2, 3, 6))
        layer("group_norm", nn.GroupNorm(3, 6), rand(2, 6, 4))
        layer("group_norm_images", nn.GroupNorm(2, 6, eps=1e-3), rand(2, 6, 3, 2))
        for name, make, shape in [("flat", nn.BatchNorm1d, (5, 4)), ("sequences", nn.BatchNorm1d, (3, 4, 5)),
                                  ("images", nn.BatchNorm2d, (3, 4, 2, 3))]:
            layer(f"batch_norm_{name}_train", make(4), rand(*shape))
            evaluated = make(4)
            nn.init.normal_(evaluated.running_mean)
            nn.init.uniform_(evaluated.running_var, 0.5, 2)
            layer(f"batch_norm_{name}_eval", evaluated, rand(*shape), train=False)
        twice = nn.BatchNorm1d(4, momentum=None)
        layer("batch_norm_cumulative", twice, rand(5, 4), rand(6, 4), run=lambda a, b: (twice(a), twice(b)))
        layer("batch_norm_untracked", nn.BatchNorm1d(4, track_running_stats=False), rand(5, 4), train=False)
        layer("conv1d", nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2), rand(2, 4, 11))
        layer("conv1d_no_bias", nn.Conv1d(4, 6, 3, bias=False), rand(2, 4, 7))
        layer("conv2d", nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2), rand(2, 4, 7, 6))
        layer("conv_transposed1d", nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), rand(2, 4, 5))
        layer("conv_transposed2d", nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 3), padding=(1, 0), output_padding=(1, 0),
              dilation=(2, 1)), rand(2, 4, 3, 4))
        layer("dropout_eval", nn.Dropout(0.4), rand(3, 5), train=False)
        layer("max_pool1d", nn.MaxPool1d(3, stride=2, padding=1), rand(2, 3, 9))
        layer("max_pool2d", nn.MaxPool2d((2, 3)), rand(2, 3, 6, 6))
        layer("average_pool1d", nn.AvgPool1d(3, stride=2, padding=1), rand(2, 3, 9))
        layer("average_pool2d", nn.AvgPool2d((3, 2), padding=(1, 0)), rand(2, 3, 6, 6))
        layer("adaptive_average_pool1d", nn.AdaptiveAvgPool1d(3), rand(2, 3, 8))
        layer("adaptive_average_pool2d", nn.AdaptiveAvgPool2d((2, 3)), rand(2, 3, 5, 7))
        layer("gru", nn.GRU(4, 3, batch_first=True), rand(2, 5, 4))
        layer("gru_deep", nn.GRU(4, 3, num_layers=2, bidirectional=True, batch_first=True), rand(2, 5, 4), rand(4, 2, 3))
        layer("gru_no_bias", nn.GRU(4, 3, bias=False, batch_first=True), rand(2, 5, 4))
        def lstm(name, module, *inputs):
            def run(x, *state):
                y, (h, c) = module(x, state or None)
                return y, h, c
            layer(name, module, *inputs, run=run)
        lstm("lstm", nn.LSTM(4, 3, batch_first=True), rand(2, 5, 4))
        lstm("lstm_deep", nn.LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True), rand(2, 5, 4), rand(4, 2, 3), rand(4, 2, 3))
        for name, function in {
            "identity": lambda x: x * 1, "relu": F.relu, "relu2": lambda x: F.relu(x) ** 2, "leaky_relu": F.leaky_relu, "elu": F.elu,
            "elu_plus_one": lambda x: F.elu(x) + 1, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
            "silu": F.silu, "mish": F.mish, "sigmoid": torch.sigmoid, "log_sigmoid": F.logsigmoid, "tanh": torch.tanh,
            "softplus": F.softplus, "softsign": F.softsign,
        }.items(): record(f"activation_{name}", function, [rand(3, 4) * 2])
        layer("softmax", nn.Softmax(1), rand(2, 3, 4))
        layer("prelu", nn.PReLU(), rand(2, 3, 4))
        layer("prelu_channels", nn.PReLU(3), rand(2, 3, 4))

        """

    private static let compositions: String = """
        class Gated(nn.Module):
            def __init__(self, activation, bias=False):
                super().__init__()
                self.gate_proj, self.up_proj = nn.Linear(4, 6, bias=bias), nn.Linear(4, 6, bias=bias)
                self.down_proj, self.activation = nn.Linear(6, 4, bias=bias), activation
            def forward(self, x): return self.down_proj(self.activation(self.gate_proj(x)) * self.up_proj(x))
        layer("swiglu", Gated(F.silu), rand(2, 3, 4))
        layer("geglu", Gated(F.gelu, bias=True), rand(2, 3, 4))
        layer("reglu", Gated(F.relu), rand(2, 3, 4))
        class Perceptron(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.ModuleList([nn.Linear(4, 5), nn.Linear(5, 6), nn.Linear(6, 2)])
            def forward(self, x): return self.layers[2](F.gelu(self.layers[1](F.gelu(self.layers[0](x)))))
        layer("mlp", Perceptron(), rand(3, 4))
        layer("sequential", nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.LayerNorm(5), nn.Linear(5, 2)), rand(3, 4))
        class Residual(nn.Module):
            def __init__(self):
                super().__init__()
                self.norm, self.layer = nn.LayerNorm(4), nn.Linear(4, 4)
            def forward(self, x): return x + self.layer(self.norm(x))
        layer("residual", Residual(), rand(3, 4))
        short = nn.Conv1d(4, 4, 3, groups=4, padding=2)
        layer("short_convolution", short, rand(2, 6, 4), run=lambda x: F.silu(short(x.transpose(1, 2))[..., :6]).transpose(1, 2))
        narrow = nn.Conv1d(4, 4, 1, groups=4, bias=False)
        layer("short_convolution_one", narrow, rand(2, 6, 4), run=lambda x: narrow(x.transpose(1, 2)).transpose(1, 2))

        class Attention(nn.Module):
            def __init__(self, heads, shared, bias):
                super().__init__()
                self.heads, self.shared = heads, shared
                self.q_proj, self.o_proj = nn.Linear(8, heads * 4, bias=bias), nn.Linear(heads * 4, 8, bias=False)
                self.k_proj, self.v_proj = nn.Linear(8, shared * 4, bias=bias), nn.Linear(8, shared * 4, bias=bias)
            def forward(self, x, context=None, mask=None):
                context = x if context is None else context
                q, k, v = self.q_proj(x), self.k_proj(context), self.v_proj(context)
                q, k, v = [t.unflatten(-1, (-1, 4)).transpose(1, 2) for t in (q, k, v)]
                k, v = [t.repeat_interleave(self.heads // self.shared, 1) for t in (k, v)]
                scores = q @ k.mT / 2
                if mask is not None: scores = scores.masked_fill(~mask, -torch.inf)
                return self.o_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        age = torch.arange(6)[:, None] - torch.arange(6)[None]
        own = nn.MultiheadAttention(8, 2, batch_first=True)
        causal = nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64)
        layer("torch_attention", own, rand(2, 6, 8), run=lambda x: own(x, x, x, need_weights=False)[0])
        masked = nn.MultiheadAttention(8, 2, batch_first=True)
        layer("torch_attention_causal", masked, rand(2, 6, 8), run=lambda x: masked(x, x, x, attn_mask=causal, need_weights=False)[0])
        layer("attention_grouped", Attention(4, 2, True), rand(2, 6, 8))
        grouped = Attention(4, 2, True)
        layer("attention_causal", grouped, rand(2, 6, 8), run=lambda x: grouped(x, mask=age >= 0))
        windowed = Attention(4, 1, False)
        layer("attention_window", windowed, rand(2, 6, 8), run=lambda x: windowed(x, mask=(age >= 0) & (age < 3)))
        layer("attention_context", Attention(2, 2, False), rand(2, 3, 8), rand(2, 5, 8))
        record("cosine_similarity", F.cosine_similarity, [rand(3, 4), rand(3, 4)])

        """

    private static let losses: String = """
        classes = torch.tensor([1, 0, 4, -100, 2])
        weights = torch.rand(5, dtype=torch.float64) + 0.1
        for reduction in ["none", "mean", "sum"]:
            def both(name, function, *inputs):
                record(f"{name}_{reduction}", lambda *t: function(*t, reduction=reduction), list(inputs))
            both("cross_entropy", F.cross_entropy, rand(5, 5), classes)
            both("nll", F.nll_loss, rand(5, 5), classes)
            both("mse", F.mse_loss, rand(3, 4), rand(3, 4))
            both("l1", F.l1_loss, rand(3, 4), rand(3, 4))
            both("smooth_l1", lambda *t, reduction: F.smooth_l1_loss(*t, beta=0.7, reduction=reduction), rand(3, 4), rand(3, 4))
            both("huber", lambda *t, reduction: F.huber_loss(*t, delta=0.7, reduction=reduction), rand(3, 4), rand(3, 4))
            both("kl", F.kl_div, rand(3, 4), torch.rand(3, 4, dtype=torch.float64))
            both("kl_log", lambda *t, reduction: F.kl_div(*t, log_target=True, reduction=reduction), rand(3, 4), rand(3, 4))
            both("bce", F.binary_cross_entropy, torch.rand(3, 4, dtype=torch.float64), torch.rand(3, 4, dtype=torch.float64))
            both("bce_logits", F.binary_cross_entropy_with_logits, rand(3, 4), torch.rand(3, 4, dtype=torch.float64))
            both("cosine_embedding", lambda *t, reduction: F.cosine_embedding_loss(*t, margin=0.1, reduction=reduction),
                 rand(4, 3), rand(4, 3), torch.tensor([1, -1, -1, 1]))
            both("triplet", lambda *t, reduction: F.triplet_margin_loss(*t, margin=2.0, reduction=reduction),
                 rand(4, 3), rand(4, 3), rand(4, 3))
            both("cosine_distance", lambda a, b, reduction: getattr(1 - F.cosine_similarity(a, b, dim=-1), {"none": "clone"}.get(reduction, reduction))(),
                 rand(4, 3), rand(4, 3))
            def contrastive(a, b, same, reduction):
                d = F.pairwise_distance(a, b, eps=0)
                each = torch.where(same == 1, d ** 2, (1.5 - d).clamp(min=0) ** 2)
                return each if reduction == "none" else getattr(each, reduction)()
            both("contrastive", contrastive, rand(4, 3), rand(4, 3), torch.tensor([1, 0, 0, 1]))
        record("cross_entropy_smooth", lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), [rand(5, 5), classes])
        record("cross_entropy_ignore", lambda x, t: F.cross_entropy(x, t, ignore_index=2), [rand(5, 5), torch.tensor([1, 0, 4, 2, 2])])
        record("cross_entropy_weighted", lambda x, t, w: F.cross_entropy(x, t, w.detach()), [rand(5, 5), classes, weights])
        record("cross_entropy_tokens", lambda x, t: F.cross_entropy(x.flatten(0, 1), t.flatten()), [rand(2, 3, 5), torch.randint(0, 5, (2, 3))])
        record("bce_logits_positive", lambda x, t, p: F.binary_cross_entropy_with_logits(x, t, pos_weight=p.detach()),
               [rand(3, 4), torch.rand(3, 4, dtype=torch.float64), torch.rand(4, dtype=torch.float64)])
        def scores(q, k): return F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).T / 0.2
        record("info_nce", lambda q, k: F.cross_entropy(scores(q, k), torch.arange(4)), [rand(4, 3), rand(6, 3)])
        record("info_nce_symmetric", lambda q, k: (F.cross_entropy(scores(q, k), torch.arange(4))
               + F.cross_entropy(scores(k, q), torch.arange(4))) / 2, [rand(4, 3), rand(4, 3)])
        """
}
