// h_t = exp(Δ_t A) ⊙ h_{t-1} + Δ_t u_t B_t, y_t = C_t h_t for every channel: the selective scan, with a vector's lanes as channels.

// The channels that lie in one vector, of one batch element.
struct Lanes {
    const CTSelectiveScan &problem;
    int64_t batch, first;
    int order, width;  // states, channels in use

    Lanes(const CTSelectiveScan &problem, int64_t batch, int64_t block)
        : problem(problem), batch(batch), first(block * CT_LANES), order(static_cast<int>(problem.order)),
          width(static_cast<int>(std::min<int64_t>(CT_LANES, problem.channels - first))) {}

    static int64_t blocks(const CTSelectiveScan &problem) { return (problem.channels + CT_LANES - 1) / CT_LANES; }
    int64_t chunks() const { return (problem.length + chunk - 1) / chunk; }
    int steps(int64_t index) const { return static_cast<int>(std::min<int64_t>(chunk, problem.length - index * chunk)); }

    // Channels of chunk `index`, [steps, lanes].
    void read(const CTSequence &source, int64_t index, Tile target) const {
        gather(source.data + batch * source.batch + index * chunk * source.time + first, source.time, steps(index), width, 1, steps(index), CT_LANES, target);
    }
    void write(Tile source, int64_t index, const CTSequence &target) const {
        scatter(source, steps(index), width, 1, target.data + batch * target.batch + index * chunk * target.time + first, target.time);
    }

    // These channels of [N, D], the matrix A or one batch element's state.
    void readStates(const float *source, Tile target) const {
        gather(source + first, problem.channels, source == nullptr ? 0 : order, width, 1, order, CT_LANES, target);
    }
    void writeStates(Tile source, float *target) const { scatter(source, order, width, 1, target + first, problem.channels); }
    int64_t stateOffset() const { return batch * problem.order * problem.channels; }
    const float *initialState() const { return problem.initialState == nullptr ? nullptr : problem.initialState + stateOffset(); }

    const float *inputs(int64_t step) const { return problem.b.data + batch * problem.b.batch + step * problem.b.time; }
    const float *outputs(int64_t step) const { return problem.c.data + batch * problem.c.batch + step * problem.c.time; }
};

struct ScanTiles {
    Tile u, step, output, matrix, state;

    ScanTiles(Arena &arena, int order)
        : u{arena.take(chunk * CT_LANES), CT_LANES}, step{arena.take(chunk * CT_LANES), CT_LANES}, output{arena.take(chunk * CT_LANES), CT_LANES},
          matrix{arena.take(order * CT_LANES), CT_LANES}, state{arena.take(order * CT_LANES), CT_LANES} {}
};

inline void scanForward(const Lanes &lanes, Arena &arena) {
    ScanTiles t(arena, lanes.order);
    if (t.state.data == nullptr) return;
    lanes.readStates(lanes.problem.a, t.matrix);
    lanes.readStates(lanes.initialState(), t.state);
    for (int64_t index = 0; index < lanes.chunks(); index++) {
        lanes.read(lanes.problem.u, index, t.u);
        lanes.read(lanes.problem.step, index, t.step);
        for (int i = 0; i < lanes.steps(index); i++) {
            const float *in = lanes.inputs(index * chunk + i), *out = lanes.outputs(index * chunk + i);
            Vector step = load(t.step.row(i)), write = step * load(t.u.row(i)), result = 0.0f;
            for (int n = 0; n < lanes.order; n++) {
                Vector state = exponential(step * load(t.matrix.row(n))) * load(t.state.row(n)) + write * in[n];
                store(t.state.row(n), state);
                result += state * out[n];
            }
            store(t.output.row(i), result);
        }
        lanes.write(t.output, index, lanes.problem.output);
    }
    lanes.writeStates(t.state, lanes.problem.finalState + lanes.stateOffset());
}

// Decays and states of one chunk, from the state that enters it.
struct ScanHistory {
    Tile decays, states;  // [chunk · N, lanes], [(chunk + 1) · N, lanes]

    ScanHistory(Arena &arena, int order)
        : decays{arena.take(int64_t(chunk) * order * CT_LANES), CT_LANES}, states{arena.take(int64_t(chunk + 1) * order * CT_LANES), CT_LANES} {}

    void run(const Lanes &lanes, int64_t index, const ScanTiles &t) {
        for (int i = 0; i < lanes.steps(index); i++) {
            const float *in = lanes.inputs(index * chunk + i);
            Vector step = load(t.step.row(i)), write = step * load(t.u.row(i));
            for (int n = 0; n < lanes.order; n++) {
                int at = i * lanes.order + n;
                Vector decay = exponential(step * load(t.matrix.row(n)));
                store(decays.row(at), decay);
                store(states.row(at + lanes.order), decay * load(states.row(at)) + write * in[n]);
            }
        }
    }
};

// Adds to the gradients of B and C, [T, N] of one batch element and one group of channels; writes all others.
inline void scanBackward(const Lanes &lanes, float *bGradient, float *cGradient, Arena &arena) {
    const CTSelectiveScan &problem = lanes.problem;
    const int order = lanes.order;
    ScanTiles t(arena, order);
    ScanHistory history(arena, order);
    Tile uGradient{arena.take(chunk * CT_LANES), CT_LANES}, stepGradient{arena.take(chunk * CT_LANES), CT_LANES};
    Tile matrixGradient{arena.take(order * CT_LANES), CT_LANES}, stateGradient{arena.take(order * CT_LANES), CT_LANES};
    const int64_t area = int64_t(order) * CT_LANES;
    float *entering = arena.take(lanes.chunks() * area);
    if (entering == nullptr) return;

    lanes.readStates(problem.a, t.matrix);
    lanes.readStates(lanes.initialState(), t.state);
    for (int64_t index = 0; index < lanes.chunks(); index++) {
        std::copy_n(t.state.data, area, entering + index * area);
        lanes.read(problem.u, index, t.u);
        lanes.read(problem.step, index, t.step);
        for (int i = 0; i < lanes.steps(index); i++) {
            const float *in = lanes.inputs(index * chunk + i);
            Vector step = load(t.step.row(i)), write = step * load(t.u.row(i));
            for (int n = 0; n < order; n++)
                store(t.state.row(n), exponential(step * load(t.matrix.row(n))) * load(t.state.row(n)) + write * in[n]);
        }
    }

    fill(matrixGradient.data, static_cast<int>(area), 0);
    lanes.readStates(problem.finalStateGradient == nullptr ? nullptr : problem.finalStateGradient + lanes.stateOffset(), stateGradient);
    for (int64_t index = lanes.chunks() - 1; index >= 0; index--) {
        lanes.read(problem.u, index, t.u);
        lanes.read(problem.step, index, t.step);
        lanes.read(problem.outputGradient, index, t.output);
        std::copy_n(entering + index * area, area, history.states.data);
        history.run(lanes, index, t);
        for (int i = lanes.steps(index) - 1; i >= 0; i--) {
            int64_t time = index * chunk + i;
            const float *in = lanes.inputs(time), *out = lanes.outputs(time);
            Vector step = load(t.step.row(i)), u = load(t.u.row(i)), outputGradient = load(t.output.row(i));
            Vector write = step * u, writeGradient = 0.0f, forStep = 0.0f;
            for (int n = 0; n < order; n++) {
                int at = i * order + n;
                Vector gradient = load(stateGradient.row(n)) + outputGradient * out[n];
                cGradient[time * order + n] += sum(outputGradient * load(history.states.row(at + order)));
                bGradient[time * order + n] += sum(gradient * write);
                writeGradient += gradient * in[n];
                Vector kept = gradient * load(history.decays.row(at));
                Vector exponentGradient = kept * load(history.states.row(at));
                store(matrixGradient.row(n), load(matrixGradient.row(n)) + exponentGradient * step);
                forStep += exponentGradient * load(t.matrix.row(n));
                store(stateGradient.row(n), kept);
            }
            store(uGradient.row(i), writeGradient * step);
            store(stepGradient.row(i), forStep + writeGradient * u);
        }
        lanes.write(uGradient, index, problem.uGradient);
        lanes.write(stepGradient, index, problem.stepGradient);
    }
    lanes.writeStates(matrixGradient, problem.aGradient + lanes.stateOffset());
    if (problem.initialStateGradient != nullptr) lanes.writeStates(stateGradient, problem.initialStateGradient + lanes.stateOffset());
}
