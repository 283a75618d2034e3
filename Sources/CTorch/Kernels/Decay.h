// S_t = decay_t ⊙ S_{t-1} + k_t v_tᵀ, o_t = S_tᵀ q_t: linear attention, retention and gated linear attention.
//
// Decays are multiplied and never divided, so whatever a gate is, nothing overflows: a product underflows to the zero that it is.
// Scores are kept by key, scores[j][i] for the query i ≥ the key j.

// What one head of the problem reads and writes. Strides are in floats.
struct Head {
    const CTAttention &problem;
    int64_t batch, head;
    int keys, values;  // widths of the tiles

    Head(const CTAttention &problem, int64_t row)
        : problem(problem), batch(row / problem.heads), head(row % problem.heads), keys(roundUp(problem.keys, 16)), values(roundUp(problem.values, 16)) {}

    int64_t chunks() const { return (problem.length + chunk - 1) / chunk; }
    int steps(int64_t index) const { return static_cast<int>(std::min<int64_t>(chunk, problem.length - index * chunk)); }

    float *at(const CTSequence &sequence, int64_t step) const { return sequence.data + batch * sequence.batch + head * sequence.head + step * sequence.time; }

    // Steps of chunk `index` as a tile whose rows beyond the sequence are zero.
    void read(const CTSequence &source, int64_t index, int64_t width, Tile target, float factor = 1) const {
        gather(at(source, index * chunk), source.time, steps(index), static_cast<int>(width), factor, roundUp(steps(index), 8), roundUp(width, 16), target);
    }

    void write(Tile source, int64_t index, int64_t width, const CTSequence &target, float factor = 1) const {
        if (target.data == nullptr) return;
        scatter(source, steps(index), static_cast<int>(width), factor, at(target, index * chunk), target.time);
    }

    // A state [B, H, K, V] of the caller, or zeros without one.
    void readState(const float *source, Tile target) const {
        int64_t area = problem.keys * problem.values;
        const float *from = source == nullptr ? nullptr : source + (batch * problem.heads + head) * area;
        gather(from, problem.values, from == nullptr ? 0 : static_cast<int>(problem.keys), static_cast<int>(problem.values), 1, keys, values, target);
    }

    void writeState(Tile source, float *target) const {
        if (target == nullptr) return;
        int64_t area = problem.keys * problem.values;
        scatter(source, static_cast<int>(problem.keys), static_cast<int>(problem.values), 1, target + (batch * problem.heads + head) * area, problem.values);
    }
};

// One decay for all channels of a head, or none.
struct HeadDecay {
    static constexpr bool perChannel = false;
    float *decays, *since, *until, *between;  // `chunk` floats each

    HeadDecay(Arena &arena, const Head &) : decays(arena.take(chunk)), since(arena.take(chunk)), until(arena.take(chunk)), between(arena.take(chunk)) {}

    // Decays of the chunk, since its start (inclusive) and until its end (exclusive).
    void read(const Head &head, int64_t index) {
        fill(decays, chunk, 1);
        if (head.problem.gate.data != nullptr) {
            fill(between, chunk, 0);
            for (int i = 0; i < head.steps(index); i++) between[i] = *head.at(head.problem.gate, index * chunk + i);
            for (int i = 0; i < chunk; i += CT_LANES) store(decays + i, exponential(load(between + i)));
        }
        since[0] = decays[0];
        for (int i = 1; i < chunk; i++) since[i] = since[i - 1] * decays[i];
        until[chunk - 1] = 1;
        for (int i = chunk - 1; i > 0; i--) until[i - 1] = until[i] * decays[i];
    }

    void weightSince(const Head &head, int rows, Tile tile) const {
        for (int i = 0; i < rows; i++) scale(tile.row(i), head.keys, since[i]);
    }
    void weightUntil(const Head &head, int rows, Tile tile) const {
        for (int i = 0; i < rows; i++) scale(tile.row(i), head.keys, until[i]);
    }
    void fade(const Head &head, Tile state) const {
        for (int i = 0; i < head.keys; i++) scale(state.row(i), head.values, since[chunk - 1]);
    }
    void fadeTransposed(const Head &head, Tile state) const {
        for (int i = 0; i < head.values; i++) scale(state.row(i), head.keys, since[chunk - 1]);
    }

    // Scores, or their gradients, times the decay between the two steps; zero where the key is later than the query.
    void weightBetween(int rows, Tile scores) const {
        int columns = roundUp(rows, 16);
        fill(between, columns, 0);
        for (int j = rows - 1; j >= 0; j--) {
            // Row j is row j + 1 times the decay of step j + 1, with a 1 on the diagonal.
            int first = j / 16 * 16;
            if (j + 1 < rows) scale(between + first, columns - first, decays[j + 1]);
            between[j] = 1;
            int from = j / 8 * 8 / CT_LANES * CT_LANES;
            product(scores.row(j) + from, scores.row(j) + from, between + from, columns - from);
        }
    }

    void scores(const Head &head, int rows, Tile q, Tile k, Tile transposed, Tile result) const {
        transpose(rows, head.keys, q, transposed);
        multiply(rows, roundUp(rows, 16), head.keys, k, transposed, result, Range::all, Range::upper);
        weightBetween(rows, result);
    }

    // Adds what the scores' gradients give to queries and keys.
    void addGradients(const Head &head, int rows, Tile q, Tile k, Tile scoreGradients, Tile qGradient, Tile kGradient) const {
        weightBetween(rows, scoreGradients);
        multiply<true, Store::add>(rows, head.keys, rows, scoreGradients, k, qGradient, Range::lower);
        multiply<false, Store::add>(rows, head.keys, rows, scoreGradients, q, kGradient, Range::upper);
    }
};

// A decay for each key channel. Inside a chunk, 8 steps at a time: scores with all earlier keys are a product of queries decayed since the
// first of the 8 and keys decayed until just before it; those among the 8 are formed pair by pair. (The secondary chunking of gated linear attention.)
struct ChannelDecay {
    static constexpr bool perChannel = true;
    Tile decays, since, until;            // [chunk, K]
    Tile faded, fading;                   // keys decayed until the current 8 steps, and those decays: [chunk, K]
    Tile queries, partial, narrow;        // [8, K], [chunk, K], [K, 8]
    float *running;                       // [K]

    ChannelDecay(Arena &arena, const Head &head) {
        for (Tile *tile : {&decays, &since, &until, &faded, &fading, &partial}) *tile = {arena.take(int64_t(chunk) * head.keys), head.keys};
        queries = {arena.take(8 * head.keys), head.keys};
        narrow = {arena.take(8 * head.keys), 8};
        running = arena.take(head.keys);
    }

    void read(const Head &head, int64_t index) {
        int width = head.keys, rows = roundUp(head.steps(index), 8);
        head.read(head.problem.gate, index, head.problem.keys, decays);
        for (int i = 0; i < rows; i++)
            for (int c = 0; c < width; c += CT_LANES) {
                Vector decay = exponential(load(decays.row(i) + c));
                store(decays.row(i) + c, decay);
                store(since.row(i) + c, i == 0 ? decay : load(since.row(i - 1) + c) * decay);
            }
        fill(until.row(rows - 1), width, 1);
        for (int i = rows - 1; i > 0; i--) product(until.row(i - 1), until.row(i), decays.row(i), width);
        last = rows - 1;
    }

    void weightSince(const Head &head, int rows, Tile tile) const {
        for (int i = 0; i < rows; i++) product(tile.row(i), tile.row(i), since.row(i), head.keys);
    }
    void weightUntil(const Head &head, int rows, Tile tile) const {
        for (int i = 0; i < rows; i++) product(tile.row(i), tile.row(i), until.row(i), head.keys);
    }
    void fade(const Head &head, Tile state) const {
        for (int i = 0; i < head.keys; i++) scale(state.row(i), head.values, since.row(last)[i]);
    }
    void fadeTransposed(const Head &head, Tile state) const {
        for (int i = 0; i < head.values; i++) product(state.row(i), state.row(i), since.row(last), head.keys);
    }

    // Queries of the 8 steps from `first`, decayed since the first of them.
    void decayQueries(const Head &head, int first, Tile q) const {
        fill(running, head.keys, 1);
        for (int i = 0; i < 8; i++) {
            product(running, running, decays.row(first + i), head.keys);
            product(queries.row(i), q.row(first + i), running, head.keys);
        }
    }

    // Moves the keys' end from before the 8 steps at `first` to behind them, and takes those 8 in. `running` is the decay over the 8.
    void advance(const Head &head, int first, Tile k) const {
        int width = head.keys;
        for (int j = 0; j < first; j++) {
            product(fading.row(j), fading.row(j), running, width);
            product(faded.row(j), faded.row(j), running, width);
        }
        fill(fading.row(first + 7), width, 1);
        for (int j = first + 7; j >= first; j--) {
            if (j > first) product(fading.row(j - 1), fading.row(j), decays.row(j), width);
            product(faded.row(j), k.row(j), fading.row(j), width);
        }
    }

    void scores(const Head &head, int rows, Tile q, Tile k, Tile, Tile result) const {
        for (int first = 0; first < rows; first += 8) {
            scoresAmong(head, first, q, k, result);
            decayQueries(head, first, q);
            if (first > 0) {
                transpose(8, head.keys, queries, narrow);
                multiplyNarrow(first, head.keys, faded, narrow, result.from(0, first));
            }
            if (first + 8 < rows) advance(head, first, k);
        }
    }

    void scoresAmong(const Head &head, int first, Tile q, Tile k, Tile result) const {
        CT_UNROLL for (int i = 0; i < 8; i++) {
            Vector sums[8] = {};
            for (int c = 0; c < head.keys; c += CT_LANES) {
                Vector query = load(q.row(first + i) + c);
                CT_UNROLL for (int j = i; j >= 0; j--) {
                    sums[j] += query * load(k.row(first + j) + c);
                    query *= load(decays.row(first + j) + c);
                }
            }
            CT_UNROLL for (int j = 0; j < 8; j++) result.row(first + j)[first + i] = j <= i ? sum(sums[j]) : 0;
        }
    }

    void addGradients(const Head &head, int rows, Tile q, Tile k, Tile scoreGradients, Tile qGradient, Tile kGradient) const {
        for (int first = 0; first < rows; first += 8) {
            addGradientsAmong(head, first, q, k, scoreGradients, qGradient, kGradient);
            decayQueries(head, first, q);
            if (first > 0) addGradientsBefore(head, first, scoreGradients.from(0, first), qGradient, kGradient);
            if (first + 8 < rows) advance(head, first, k);
        }
    }

    // From the scores of the 8 queries at `first` with all earlier keys.
    void addGradientsBefore(const Head &head, int first, Tile scoreGradients, Tile qGradient, Tile kGradient) const {
        int width = head.keys;
        multiply<false>(first, width, 8, scoreGradients, queries, partial);
        for (int j = 0; j < first; j++)
            for (int c = 0; c < width; c += CT_LANES)
                store(kGradient.row(j) + c, load(kGradient.row(j) + c) + load(partial.row(j) + c) * load(fading.row(j) + c));
        multiply<true>(8, width, first, scoreGradients, faded, partial);
        for (int c = 0; c < width; c += CT_LANES) {
            Vector decay = 1.0f;
            for (int i = 0; i < 8; i++) {
                decay *= load(decays.row(first + i) + c);
                store(qGradient.row(first + i) + c, load(qGradient.row(first + i) + c) + load(partial.row(i) + c) * decay);
            }
        }
    }

    void addGradientsAmong(const Head &head, int first, Tile q, Tile k, Tile scoreGradients, Tile qGradient, Tile kGradient) const {
        for (int c = 0; c < head.keys; c += CT_LANES) {
            Vector forKeys[8];
            for (int j = 0; j < 8; j++) forKeys[j] = load(kGradient.row(first + j) + c);
            CT_UNROLL for (int i = 0; i < 8; i++) {
                Vector query = load(q.row(first + i) + c), forQuery = load(qGradient.row(first + i) + c), decay = 1.0f;
                CT_UNROLL for (int j = i; j >= 0; j--) {
                    Vector weight = decay * scoreGradients.row(first + j)[first + i];
                    forQuery += weight * load(k.row(first + j) + c);
                    forKeys[j] += weight * query;
                    decay *= load(decays.row(first + j) + c);
                }
                store(qGradient.row(first + i) + c, forQuery);
            }
            for (int j = 0; j < 8; j++) store(kGradient.row(first + j) + c, forKeys[j]);
        }
    }

private:
    int last = 0;
};

// Tiles that forward and backward share.
template <typename Decay>
struct DecayTiles {
    Decay decay;
    Tile q, k, v, state, scores, transposed, output;

    DecayTiles(Arena &arena, const Head &head)
        : decay(arena, head), q{arena.take(int64_t(chunk) * head.keys), head.keys}, k{arena.take(int64_t(chunk) * head.keys), head.keys},
          v{arena.take(int64_t(chunk) * head.values), head.values}, state{arena.take(int64_t(head.keys) * head.values), head.values},
          scores{arena.take(chunk * chunk), chunk}, transposed{arena.take(int64_t(chunk) * std::max(head.keys, head.values)), chunk},
          output{arena.take(int64_t(chunk) * head.values), head.values} {}

    void read(const Head &head, int64_t index) {
        head.read(head.problem.q, index, head.problem.keys, q, head.problem.scale);
        head.read(head.problem.k, index, head.problem.keys, k);
        head.read(head.problem.v, index, head.problem.values, v);
        decay.read(head, index);
    }
};

template <typename Decay>
void decayForward(const Head &head, Arena &arena) {
    DecayTiles<Decay> t(arena, head);
    if (t.state.data == nullptr) return;
    head.readState(head.problem.initialState, t.state);
    for (int64_t index = 0; index < head.chunks(); index++) {
        int rows = roundUp(head.steps(index), 8);
        t.read(head, index);
        t.decay.scores(head, rows, t.q, t.k, t.transposed, t.scores);
        t.decay.weightSince(head, rows, t.q);
        multiply(rows, head.values, head.keys, t.q, t.state, t.output);
        multiply<true, Store::add>(rows, head.values, rows, t.scores, t.v, t.output, Range::lower);
        head.write(t.output, index, head.problem.values, head.problem.output);
        t.decay.weightUntil(head, rows, t.k);
        t.decay.fade(head, t.state);
        multiply<true, Store::add>(head.keys, head.values, rows, t.k, t.v, t.state);
    }
    head.writeState(t.state, head.problem.finalState);
}

// The gate's gradient in closed form: with b summed over the whole sequence, queries enter as q ⊙ e^b, keys as k ⊙ e^{-b} and the final
// state as e^{b_T}, hence db_t = q_t ⊙ dq_t − k_t ⊙ dk_t, plus Σ_V S_T ⊙ dS_T at T, and dg sums db from each step on.
template <bool PerChannel>
struct GateGradient {
    double *sums;
    float *row;

    GateGradient(Arena &arena, const Head &head) : sums(reinterpret_cast<double *>(arena.take(2 * head.keys))), row(arena.take(head.keys)) {}

    // Both states transposed, [V, K].
    void start(const Head &head, Tile final, Tile finalGradient) {
        for (int c = 0; c < head.keys; c++) sums[c] = 0;
        for (int i = 0; i < head.values; i++) {
            product(row, final.row(i), finalGradient.row(i), head.keys);
            add(head);
        }
    }

    // Adds `row`, in double precision since a long sum of small differences follows.
    void add(const Head &head) {
        if constexpr (PerChannel) {
            for (int c = 0; c < head.keys; c++) sums[c] += row[c];
        } else {
            Vector total = 0.0f;
            for (int c = 0; c < head.keys; c += CT_LANES) total += load(row + c);
            sums[0] += sum(total);
        }
    }

    void write(const Head &head, int64_t index, Tile q, Tile k, Tile qGradient, Tile kGradient) {
        for (int i = head.steps(index) - 1; i >= 0; i--) {
            for (int c = 0; c < head.keys; c += CT_LANES)
                store(row + c, load(q.row(i) + c) * load(qGradient.row(i) + c) - load(k.row(i) + c) * load(kGradient.row(i) + c));
            add(head);
            float *target = head.at(head.problem.gateGradient, index * chunk + i);
            for (int c = 0; c < (PerChannel ? head.problem.keys : 1); c++) target[c] = static_cast<float>(sums[c]);
        }
    }
};

template <typename Decay>
void decayBackward(const Head &head, Arena &arena) {
    const CTAttention &problem = head.problem;
    const int keys = head.keys, values = head.values;
    DecayTiles<Decay> t(arena, head);
    Tile qGradient{arena.take(int64_t(chunk) * keys), keys}, kGradient{arena.take(int64_t(chunk) * keys), keys};
    Tile vGradient{arena.take(int64_t(chunk) * values), values}, scoreGradients{arena.take(chunk * chunk), chunk};
    Tile stateGradient{arena.take(int64_t(keys) * values), values}, stateGradientTransposed{arena.take(int64_t(keys) * values), keys};
    GateGradient<Decay::perChannel> gateGradient(arena, head);
    // The state that enters each chunk and the one that leaves the last, transposed.
    int64_t area = int64_t(keys) * values;
    Tile states{arena.take((head.chunks() + 1) * area), keys};
    if (states.data == nullptr) return;
    auto entering = [&](int64_t index) { return Tile{states.data + index * area, keys}; };

    head.readState(problem.initialState, t.state);
    transpose(keys, values, t.state, entering(0));
    for (int64_t index = 0; index < head.chunks(); index++) {
        int rows = roundUp(head.steps(index), 8);
        head.read(problem.k, index, problem.keys, t.k);
        head.read(problem.v, index, problem.values, t.v);
        t.decay.read(head, index);
        t.decay.weightUntil(head, rows, t.k);
        Tile next = entering(index + 1);
        std::copy_n(entering(index).data, area, next.data);
        t.decay.fadeTransposed(head, next);
        multiply<true, Store::add>(values, keys, rows, t.v, t.k, next);
    }

    head.readState(problem.finalStateGradient, stateGradient);
    transpose(keys, values, stateGradient, stateGradientTransposed);
    if (problem.gateGradient.data != nullptr) gateGradient.start(head, entering(head.chunks()), stateGradientTransposed);
    for (int64_t index = head.chunks() - 1; index >= 0; index--) {
        int rows = roundUp(head.steps(index), 8);
        t.read(head, index);
        head.read(problem.outputGradient, index, problem.values, t.output);
        t.decay.scores(head, rows, t.q, t.k, t.transposed, t.scores);
        multiply(rows, values, rows, t.scores, t.output, vGradient, Range::upper);
        transpose(rows, values, t.output, t.transposed);
        multiply(rows, roundUp(rows, 16), values, t.v, t.transposed, scoreGradients, Range::all, Range::upper);

        multiply(rows, keys, values, t.output, entering(index), qGradient);
        t.decay.weightSince(head, rows, qGradient);
        multiply(rows, keys, values, t.v, stateGradientTransposed, kGradient);
        t.decay.weightUntil(head, rows, kGradient);
        t.decay.addGradients(head, rows, t.q, t.k, scoreGradients, qGradient, kGradient);
        head.write(qGradient, index, problem.keys, problem.qGradient, problem.scale);
        head.write(kGradient, index, problem.keys, problem.kGradient);
        if (problem.gateGradient.data != nullptr) gateGradient.write(head, index, t.q, t.k, qGradient, kGradient);

        t.decay.weightUntil(head, rows, t.k);
        multiply<false, Store::add>(rows, values, keys, t.k, stateGradient, vGradient);
        head.write(vGradient, index, problem.values, problem.vGradient);
        t.decay.weightSince(head, rows, t.q);
        t.decay.fade(head, stateGradient);
        multiply<true, Store::add>(keys, values, rows, t.q, t.output, stateGradient);
        transpose(keys, values, stateGradient, stateGradientTransposed);
    }
    head.writeState(stateGradient, problem.initialStateGradient);
}
