// x_t = A x_{t-1} + B u_t, y_t = C x_t with a dense A: one feature of one batch element from step to step, its matrices in cache.

// target + Σ_k weights[k] · rows.row(k), `width` floats (a multiple of 16), in place of target. Eight sums are under way at once, since each waits for its
// last addition.
inline void addWeighted(const float *weights, int count, Tile rows, int width, float *target) {
    constexpr int chains = CT_LANES / 2, vectors = 16 / CT_LANES;
    for (int j = 0; j < width; j += 16) {
        Vector sums[chains][vectors];
        CT_UNROLL for (int v = 0; v < vectors; v++) {
            sums[0][v] = load(target + j + v * CT_LANES);
            CT_UNROLL for (int c = 1; c < chains; c++) sums[c][v] = 0.0f;
        }
        int k = 0;
        for (; k + chains <= count; k += chains)
            CT_UNROLL for (int c = 0; c < chains; c++) {
                Vector weight = weights[k + c];
                CT_UNROLL for (int v = 0; v < vectors; v++) sums[c][v] += weight * load(rows.row(k + c) + j + v * CT_LANES);
            }
        for (; k < count; k++) CT_UNROLL for (int v = 0; v < vectors; v++) sums[0][v] += weights[k] * load(rows.row(k) + j + v * CT_LANES);
        CT_UNROLL for (int v = 0; v < vectors; v++) {
            CT_UNROLL for (int c = 1; c < chains; c++) sums[0][v] += sums[c][v];
            store(target + j + v * CT_LANES, sums[0][v]);
        }
    }
}

// One feature of one batch element.
struct System {
    const CTStateSpace &problem;
    int64_t batch, feature;
    int order, channels, width;  // N, M, and N up to a multiple of 16

    System(const CTStateSpace &problem, int64_t batch, int64_t feature)
        : problem(problem), batch(batch), feature(feature), order(static_cast<int>(problem.order)),
          channels(static_cast<int>(problem.channels)), width(roundUp(problem.order, 16)) {}

    int64_t row() const { return batch * problem.features + feature; }
    int64_t chunks() const { return (problem.length + chunk - 1) / chunk; }
    int steps(int64_t index) const { return static_cast<int>(std::min<int64_t>(chunk, problem.length - index * chunk)); }
    int64_t at(int64_t index) const { return row() * problem.length + index * chunk; }
    // Where the outputs of a channel begin in a chunk.
    int64_t at(int64_t index, int channel) const { return (row() * channels + channel) * problem.length + index * chunk; }
    bool counts(int64_t index, int step) const {
        return problem.mask == nullptr || problem.mask[batch * problem.length + index * chunk + step] != 0.0f;
    }

    // This system's vector of [B, H, N]; zeros from NULL.
    void readState(const float *states, float *target) const {
        const float *source = states == nullptr ? nullptr : states + row() * order;
        gather(source, order, source == nullptr ? 0 : 1, order, 1, 1, width, Tile{target, width});
    }
    void writeState(float *source, float *states) const { scatter(Tile{source, width}, 1, order, 1, states + row() * order, order); }
};

struct SystemTiles {
    Tile matrix, columns, reader, states;  // A, Aᵀ, C, and the state before each step of a chunk with the one after the last
    float *drive;                          // B

    SystemTiles(Arena &arena, const System &s)
        : matrix{arena.take(int64_t(s.width) * s.width), s.width}, columns{arena.take(int64_t(s.width) * s.width), s.width},
          reader{arena.take(int64_t(s.channels) * s.width), s.width}, states{arena.take(int64_t(chunk + 1) * s.width), s.width},
          drive(arena.take(s.width)) {}

    void read(const System &s) {
        const CTStateSpace &p = s.problem;
        gather(p.a + s.feature * s.order * s.order, s.order, s.order, s.order, 1, s.width, s.width, matrix);
        transpose(s.width, s.width, matrix, columns);
        gather(p.b + s.feature * s.order, s.order, 1, s.order, 1, 1, s.width, Tile{drive, s.width});
        gather(p.c + s.feature * s.channels * s.order, s.order, s.channels, s.order, 1, s.channels, s.width, reader);
    }

    // The states of a chunk from the one in the first row.
    void run(const System &s, int64_t index) {
        const float *input = s.problem.input + s.at(index);
        for (int i = 0; i < s.steps(index); i++) {
            float *before = states.row(i), *after = states.row(i + 1);
            if (!s.counts(index, i)) {
                std::copy_n(before, s.width, after);
                continue;
            }
            for (int j = 0; j < s.width; j += CT_LANES) store(after + j, load(drive + j) * input[i]);
            addWeighted(before, s.order, columns, s.width, after);
        }
    }
};

inline void stateSpaceForward(const System &s, Arena &arena) {
    SystemTiles t(arena, s);
    if (t.drive == nullptr) return;
    t.read(s);
    s.readState(s.problem.initialState, t.states.row(0));
    for (int64_t index = 0; index < s.chunks(); index++) {
        t.run(s, index);
        for (int m = 0; m < s.channels; m++) {
            float *output = s.problem.output + s.at(index, m);
            for (int i = 0; i < s.steps(index); i++) output[i] = dot(t.states.row(i + 1), t.reader.row(m), s.width);
        }
        std::copy_n(t.states.row(s.steps(index)), s.width, t.states.row(0));
    }
    s.writeState(t.states.row(0), s.problem.finalState);
}

// What a feature's gradients of A, B and C are summed in, over the batch elements of a group.
struct SystemGradients {
    Tile matrix, reader;
    float *drive;

    SystemGradients(Arena &arena, const System &s)
        : matrix{arena.take(int64_t(s.width) * s.width), s.width}, reader{arena.take(int64_t(s.channels) * s.width), s.width},
          drive(arena.take(s.width)) {}

    void clear(const System &s) {
        fill(matrix.data, s.width * s.width, 0);
        fill(reader.data, s.channels * s.width, 0);
        fill(drive, s.width, 0);
    }

    void write(const System &s, int64_t group) {
        const CTStateSpace &p = s.problem;
        int64_t row = group * p.features + s.feature;
        scatter(matrix, s.order, s.order, 1, p.aGradient + row * s.order * s.order, s.order);
        scatter(Tile{drive, s.width}, 1, s.order, 1, p.bGradient + row * s.order, s.order);
        scatter(reader, s.channels, s.order, 1, p.cGradient + row * s.channels * s.order, s.order);
    }
};

// Adds one batch element's part to a feature's gradients, and writes those of the input and the initial state.
inline void stateSpaceBackward(const System &s, SystemTiles &t, SystemGradients &gradients, Arena &arena) {
    const CTStateSpace &p = s.problem;
    Tile arriving{arena.take(int64_t(chunk) * s.width), s.width};  // the gradient of each step's new state; zero where a step does not count
    float *carried = arena.take(s.width), *entering = arena.take(s.chunks() * s.width);
    if (entering == nullptr) return;
    s.readState(p.initialState, t.states.row(0));
    for (int64_t index = 0; index < s.chunks(); index++) {
        std::copy_n(t.states.row(0), s.width, entering + index * s.width);
        t.run(s, index);
        std::copy_n(t.states.row(s.steps(index)), s.width, t.states.row(0));
    }
    s.readState(p.finalStateGradient, carried);
    for (int64_t index = s.chunks() - 1; index >= 0; index--) {
        const int steps = s.steps(index);
        float *inputGradient = p.inputGradient + s.at(index);
        std::copy_n(entering + index * s.width, s.width, t.states.row(0));
        t.run(s, index);
        for (int i = steps - 1; i >= 0; i--) {
            for (int m = 0; m < s.channels; m++) {
                const float weight = p.outputGradient[s.at(index, m) + i], *reader = t.reader.row(m);
                for (int j = 0; j < s.width; j += CT_LANES) store(carried + j, load(carried + j) + load(reader + j) * weight);
            }
            if (!s.counts(index, i)) {
                fill(arriving.row(i), s.width, 0);
                inputGradient[i] = 0;
                continue;
            }
            std::copy_n(carried, s.width, arriving.row(i));
            inputGradient[i] = dot(carried, t.drive, s.width);
            fill(carried, s.width, 0);
            addWeighted(arriving.row(i), s.order, t.matrix, s.width, carried);
        }
        multiply<true, Store::add>(s.width, s.width, steps, arriving, t.states, gradients.matrix);
        addWeighted(p.input + s.at(index), steps, arriving, s.width, gradients.drive);
        for (int m = 0; m < s.channels; m++)
            addWeighted(p.outputGradient + s.at(index, m), steps, t.states.from(1, 0), s.width, gradients.reader.row(m));
    }
    s.writeState(carried, p.initialStateGradient);
}

// One feature, the batch elements of one group.
inline void stateSpaceBackward(const CTStateSpace &problem, int64_t group, int64_t feature, Arena &arena) {
    System first(problem, group * problem.batch / problem.groups, feature);
    SystemTiles t(arena, first);
    SystemGradients gradients(arena, first);
    const bool counting = t.drive == nullptr;
    if (!counting) {
        t.read(first);
        gradients.clear(first);
    }
    int64_t end = counting ? first.batch + 1 : (group + 1) * problem.batch / problem.groups;
    for (int64_t batch = first.batch; batch < end; batch++) {
        Arena rest = arena;
        stateSpaceBackward(System(problem, batch, feature), t, gradients, rest);
        if (counting) arena = rest;
    }
    if (!counting) gradients.write(first, group);
}
