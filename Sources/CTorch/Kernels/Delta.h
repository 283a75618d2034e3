// S_t = S_{t-1} + β_t k_t (v_t − S_{t-1}ᵀ k_t)ᵀ, o_t = S_tᵀ q_t: the delta rule.
//
// A chunk that is entered with S writes Δ = (I + L)⁻¹ diag(β) (V − K S) at its keys, with L = tril(diag(β) K Kᵀ, −1). Its triangular
// system is solved by blocks rather than inverted; the backward solves the transposed one.

struct DeltaTiles {
    Tile q, k, v, written, state, scores, system, transposed, output;
    float *strengths;

    DeltaTiles(Arena &arena, const Head &head)
        : q{arena.take(int64_t(chunk) * head.keys), head.keys}, k{arena.take(int64_t(chunk) * head.keys), head.keys},
          v{arena.take(int64_t(chunk) * head.values), head.values}, written{arena.take(int64_t(chunk) * head.values), head.values},
          state{arena.take(int64_t(head.keys) * head.values), head.values}, scores{arena.take(chunk * chunk), chunk},
          system{arena.take(chunk * chunk), chunk}, transposed{arena.take(int64_t(chunk) * std::max(head.keys, head.values)), chunk},
          output{arena.take(int64_t(chunk) * head.values), head.values}, strengths(arena.take(chunk)) {}

    // Everything of a chunk but the queries, and L.
    void readKeys(const Head &head, int64_t index) {
        int rows = roundUp(head.steps(index), 8);
        head.read(head.problem.k, index, head.problem.keys, k);
        head.read(head.problem.v, index, head.problem.values, v);
        fill(strengths, chunk, 0);
        for (int i = 0; i < head.steps(index); i++) strengths[i] = *head.at(head.problem.gate, index * chunk + i);
        transpose(rows, head.keys, k, transposed);
        multiply(rows, roundUp(rows, 16), head.keys, k, transposed, system, Range::all, Range::lower);
        for (int i = 0; i < rows; i++) scale(system.row(i), roundUp(i + 1, 16), strengths[i]);
    }

    // tril(Q Kᵀ), with `transposed` still holding Kᵀ.
    void readQueries(const Head &head, int64_t index) {
        int rows = roundUp(head.steps(index), 8);
        head.read(head.problem.q, index, head.problem.keys, q, head.problem.scale);
        multiply(rows, roundUp(rows, 16), head.keys, q, transposed, scores, Range::all, Range::lower);
        cut(rows, scores, 1);
    }

    // Zeros from `offset` places right of the diagonal to the end of its block.
    static void cut(int rows, Tile tile, int offset) {
        for (int i = 0; i < rows; i++)
            for (int j = i + offset; j < roundUp(i + 1, 8); j++) tile.row(i)[j] = 0;
    }

    // Δ and the state that leaves the chunk.
    void writeChunk(const Head &head, int rows, Tile written) {
        multiply(rows, head.values, head.keys, k, state, written);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < head.values; j += CT_LANES)
                store(written.row(i) + j, (load(v.row(i) + j) - load(written.row(i) + j)) * strengths[i]);
        solveUnitTriangular<false>(rows, head.values, system, written);
    }
};

inline void deltaForward(const Head &head, Arena &arena) {
    DeltaTiles t(arena, head);
    if (t.state.data == nullptr) return;
    head.readState(head.problem.initialState, t.state);
    for (int64_t index = 0; index < head.chunks(); index++) {
        int rows = roundUp(head.steps(index), 8);
        t.readKeys(head, index);
        t.readQueries(head, index);
        t.writeChunk(head, rows, t.written);
        multiply(rows, head.values, head.keys, t.q, t.state, t.output);
        multiply<false, Store::add>(rows, head.values, rows, t.scores, t.written, t.output, Range::lower);
        head.write(t.output, index, head.problem.values, head.problem.output);
        multiply<true, Store::add>(head.keys, head.values, rows, t.k, t.written, t.state);
    }
    head.writeState(t.state, head.problem.finalState);
}

inline void deltaBackward(const Head &head, Arena &arena) {
    const CTAttention &problem = head.problem;
    const int keys = head.keys, values = head.values;
    DeltaTiles t(arena, head);
    Tile qGradient{arena.take(int64_t(chunk) * keys), keys}, kGradient{arena.take(int64_t(chunk) * keys), keys};
    Tile weighted{arena.take(int64_t(chunk) * keys), keys}, writtenGradient{arena.take(int64_t(chunk) * values), values};
    Tile scoreGradients{arena.take(chunk * chunk), chunk}, systemGradient{arena.take(chunk * chunk), chunk};
    Tile stateGradient{arena.take(int64_t(keys) * values), values}, stateGradientTransposed{arena.take(int64_t(keys) * values), keys};
    // The state that enters each chunk, transposed, and what each chunk writes.
    int64_t area = int64_t(keys) * values, rowsOfValues = int64_t(chunk) * values;
    float *states = arena.take(head.chunks() * area), *writes = arena.take(head.chunks() * rowsOfValues);
    if (states == nullptr) return;

    head.readState(problem.initialState, t.state);
    for (int64_t index = 0; index < head.chunks(); index++) {
        int rows = roundUp(head.steps(index), 8);
        Tile written{writes + index * rowsOfValues, values};
        t.readKeys(head, index);
        transpose(keys, values, t.state, {states + index * area, keys});
        t.writeChunk(head, rows, written);
        multiply<true, Store::add>(keys, values, rows, t.k, written, t.state);
    }

    head.readState(problem.finalStateGradient, stateGradient);
    transpose(keys, values, stateGradient, stateGradientTransposed);
    for (int64_t index = head.chunks() - 1; index >= 0; index--) {
        int rows = roundUp(head.steps(index), 8), square = roundUp(rows, 16);
        Tile entering{states + index * area, keys}, written{writes + index * rowsOfValues, values};
        t.readKeys(head, index);
        t.readQueries(head, index);
        head.read(problem.outputGradient, index, problem.values, t.output);

        // Through the reads and the state to what was written, then through the triangular system.
        multiply<true>(rows, values, rows, t.scores, t.output, writtenGradient, Range::upper);
        multiply<false, Store::add>(rows, values, keys, t.k, stateGradient, writtenGradient);
        solveUnitTriangular<true>(rows, values, t.system, writtenGradient);
        transpose(rows, values, written, t.transposed);
        multiply(rows, square, values, t.output, t.transposed, scoreGradients, Range::all, Range::lower);
        DeltaTiles::cut(rows, scoreGradients, 1);
        multiply(rows, square, values, writtenGradient, t.transposed, systemGradient, Range::all, Range::lower);
        DeltaTiles::cut(rows, systemGradient, 0);

        multiply(rows, keys, values, t.output, entering, qGradient);
        multiply<false, Store::add>(rows, keys, rows, scoreGradients, t.k, qGradient, Range::lower);
        head.write(qGradient, index, problem.keys, problem.qGradient, problem.scale);

        // The gradient of diag(β) K, negated, and through it those of keys and strengths.
        multiply(rows, keys, values, writtenGradient, entering, weighted);
        multiply<false, Store::add>(rows, keys, rows, systemGradient, t.k, weighted, Range::lower);
        multiply<true>(rows, keys, rows, scoreGradients, t.q, kGradient, Range::upper);
        multiply<false, Store::add>(rows, keys, values, written, stateGradientTransposed, kGradient);
        for (int i = 0; i < rows; i++) {
            float strength = dot(writtenGradient.row(i), t.v.row(i), values) - dot(weighted.row(i), t.k.row(i), keys);
            if (problem.gateGradient.data != nullptr && i < head.steps(index)) *head.at(problem.gateGradient, index * chunk + i) = strength;
            for (int j = 0; j < keys; j += CT_LANES) {
                store(kGradient.row(i) + j, load(kGradient.row(i) + j) - load(weighted.row(i) + j) * t.strengths[i]);
                store(t.k.row(i) + j, load(t.k.row(i) + j) * t.strengths[i]);
            }
        }
        multiply<true, Store::subtract>(rows, keys, rows, systemGradient, t.k, kGradient, Range::upper);
        head.write(kGradient, index, problem.keys, problem.kGradient);

        multiply<true, Store::add>(keys, values, rows, t.q, t.output, stateGradient);
        multiply<true, Store::subtract>(keys, values, rows, t.k, writtenGradient, stateGradient);
        transpose(keys, values, stateGradient, stateGradientTransposed);
        for (int i = 0; i < rows; i++) scale(writtenGradient.row(i), values, t.strengths[i]);
        head.write(writtenGradient, index, problem.values, problem.vGradient);
    }
    head.writeState(stateGradient, problem.initialStateGradient);
}
