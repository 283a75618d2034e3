import NN
import SequenceModels
import Torch
import Training

/// The engine's work, on its thread: reads prompts in slices, steps all texts as batches, and hands out tokens.
///
/// Texts whose states fit together (``LanguageModelState/BatchKey``) are one batch: all texts of a model whose step does not look at
/// positions, those of equal length of one that does.
final class Scheduler {
    private struct Batch {
        var rows: [Row]
        var state: LanguageModelState
    }

    private let model: any CausalLanguageModel
    private let tokenizer: any Tokenizer
    private let configuration: EngineConfiguration
    private let inbox: Inbox
    private let metrics: ServingMetrics
    /// Rows whose prompt has not been read to its end, in the order of their arrival.
    private var reading: [Row] = []
    private var batches: [Batch] = []
    private var paused: [Row] = []

    init(
        model: any CausalLanguageModel, tokenizer: any Tokenizer, configuration: EngineConfiguration, inbox: Inbox, metrics: ServingMetrics
    ) {
        self.model = model
        self.tokenizer = tokenizer
        self.configuration = configuration
        self.inbox = inbox
        self.metrics = metrics
        model.train(false)
    }

    /// Works until the inbox is closed and empty.
    func run() {
        while true {
            let now: ContinuousClock.Instant = .now
            if !paused.isEmpty || !reading.isEmpty || !batches.isEmpty { dropEnded(now: now) }
            let errand: Inbox.Errand = inbox.errand(running: running, now: now)
            for job in errand.dropped { drop(Row(job, state: LanguageModelState(layers: []), tokenizer: tokenizer), now: now) }
            if errand.isLast { return }
            if errand.abandons {
                endAll(.shutdown)
                continue
            }
            reading += errand.admitted.map { Row($0, state: model.initialState(batch: 1), tokenizer: tokenizer) }
            if !work() { inbox.wait(atMost: running == 0 ? nil : 0.05) }
        }
    }

    private var running: Int { reading.count + paused.count + batches.reduce(0) { $0 + $1.rows.count } }

    /// One round; false where there was nothing to do, because no text can go on.
    private func work() -> Bool {
        let awake: [Row] = paused.filter { !$0.job.channel.isFull }
        if !awake.isEmpty { paused.removeAll { row in awake.contains { $0 === row } } }
        let hadPrompts: Bool = !reading.isEmpty
        place(awake + noGrad { readPrompts() })
        if batches.isEmpty { return hadPrompts }
        noGrad { for index in batches.indices { step(&batches[index]) } }
        batches.removeAll { $0.rows.isEmpty }
        inbox.report(running: running)
        return true
    }

    // MARK: Prompts

    /// Reads up to a slice of the prompts, and gives the rows whose first token is drawn and that go on.
    private func readPrompts() -> [Row] {
        var budget: Int = configuration.prefillSlice
        var ready: [Row] = []
        while budget > 0, let row = reading.first {
            let logits: Tensor = read(row, atMost: budget, &budget)
            reading.removeFirst()
            guard row.promptIsRead else {
                // The next slice is another prompt's, so that a long one does not hold up those behind it.
                reading.append(row)
                break
            }
            settle(row, row.draw(from: logits), into: &ready)
        }
        return ready
    }

    /// Takes in the next tokens of a row's prompt; the logits `[V]` after them.
    private func read(_ row: Row, atMost count: Int, _ budget: inout Int) -> Tensor {
        let piece: [Int] = Array(row.job.request.prompt[row.read...].prefix(count))
        let logits: Tensor = model(Tensor(piece, [1, piece.count], device: model.device), mask: nil, state: &row.state, mode: nil)
        row.read += piece.count
        budget -= piece.count
        return onHost(logits.selected(axis: 1, index: piece.count - 1)).selected(axis: 0, index: 0)
    }

    private func settle(_ row: Row, _ progress: Row.Progress, into ready: inout [Row]) {
        switch progress {
        case .running: ready.append(row)
        case .paused: paused.append(row)
        case .ended: metrics.record(row)
        }
    }

    // MARK: Batches

    /// Adds rows to the batches that they fit.
    private func place(_ rows: [Row]) {
        let usesPosition: Bool = model.stepUsesPosition
        var groups: [LanguageModelState.BatchKey: [Row]] = [:]
        for row in rows { if let state = row.state { groups[state.batchKey(usingPosition: usesPosition), default: []].append(row) } }
        for (key, group) in groups {
            let states: [LanguageModelState] = group.compactMap(\.state)
            for row in group { row.state = nil }
            if let index = batches.firstIndex(where: { $0.state.batchKey(usingPosition: usesPosition) == key }) {
                batches[index].state = .joined([batches[index].state] + states)
                batches[index].rows += group
            } else {
                batches.append(Batch(rows: group, state: .joined(states)))
            }
        }
    }

    /// The next token of every row of a batch; rows that end or pause leave it.
    private func step(_ batch: inout Batch) {
        let tokens: Tensor = Tensor(batch.rows.map(\.token), [batch.rows.count], device: model.device)
        let logits: Tensor = onHost(model.step(tokens, state: &batch.state))
        metrics.recordStep(rows: batch.rows.count)
        let progress: [Row.Progress] = batch.rows.enumerated().map { $1.draw(from: logits.selected(axis: 0, index: $0)) }
        let leaving: Set<Int> = Set(progress.indices.filter { progress[$0] != .running })
        for index in leaving {
            let row: Row = batch.rows[index]
            if progress[index] == .paused {
                row.state = batch.state.taking(rows: [index], device: model.device)
                paused.append(row)
            } else {
                metrics.record(row)
            }
        }
        remove(leaving, from: &batch)
    }

    private func remove(_ leaving: Set<Int>, from batch: inout Batch) {
        if leaving.isEmpty { return }
        let kept: [Int] = batch.rows.indices.filter { !leaving.contains($0) }
        batch.rows = kept.map { batch.rows[$0] }
        if !kept.isEmpty { batch.state = batch.state.taking(rows: kept, device: model.device) }
    }

    private func onHost(_ logits: Tensor) -> Tensor { logits.to(device: .cpu, dtype: .float32) }

    // MARK: Rows that end for another reason than their text

    private func dropEnded(now: ContinuousClock.Instant) {
        func ends(_ row: Row) -> Bool { row.job.channel.isClosed || row.job.deadline <= now }
        for row in (reading + paused).filter(ends) { drop(row, now: now) }
        reading.removeAll(where: ends)
        paused.removeAll(where: ends)
        for index in batches.indices {
            let leaving: Set<Int> = Set(batches[index].rows.indices.filter { ends(batches[index].rows[$0]) })
            for place in leaving { drop(batches[index].rows[place], now: now) }
            remove(leaving, from: &batches[index])
        }
        batches.removeAll { $0.rows.isEmpty }
    }

    private func drop(_ row: Row, now: ContinuousClock.Instant) {
        row.end(row.job.channel.isClosed ? .cancelled : row.job.deadline <= now ? .timeout : .shutdown)
        metrics.record(row)
    }

    private func endAll(_ reason: FinishReason) {
        for row in reading + paused + batches.flatMap(\.rows) {
            row.end(reason)
            metrics.record(row)
        }
        reading = []
        paused = []
        batches = []
    }
}
