import Torch

public typealias SGD = FusedOptimizer<SGDConfiguration>
public typealias Adam = FusedOptimizer<AdamConfiguration>
public typealias AdamW = FusedOptimizer<AdamWConfiguration>
public typealias Adafactor = FusedOptimizer<AdafactorConfiguration>
public typealias Lion = FusedOptimizer<LionConfiguration>
public typealias RMSprop = FusedOptimizer<RMSpropConfiguration>
public typealias Adagrad = FusedOptimizer<AdagradConfiguration>
public typealias Kar = FusedOptimizer<KarConfiguration>
public typealias GaLoreAdamW = FusedOptimizer<GaLoreConfiguration>
public typealias DCTAdamW = FusedOptimizer<DCTAdamWConfiguration>
public typealias Trion = FusedOptimizer<TrionConfiguration>
public typealias LAMB = FusedOptimizer<LAMBConfiguration>
public typealias LARS = FusedOptimizer<LARSConfiguration>

/// An optimizer that updates many tensors in few calls, by the given rule.
///
/// Parameters in float16 or bfloat16 are updated in float32: their state is float32 and only the result is rounded. An update that is
/// smaller than half the parameter's spacing is lost all the same; keep float32 parameters and compute in bfloat16 where that matters.
public final class FusedOptimizer<Rule: UpdateRule>: PieceOptimizer {
    public typealias Configuration = Rule

    public let configuration: Rule
    public var learningRate: Double
    public var pieceSums: PieceSums?
    public var parameterGroups: [ParameterGroup] {
        didSet {
            precondition(Self.sameParameters(oldValue, parameterGroups), "the parameters of an optimizer cannot change")
        }
    }
    private let slots: [ParameterSlot]
    /// The batches of the latest step; they hold as long as the same parameters have gradients.
    private var plan: UpdatePlan?

    public init(groups: [ParameterGroup], configuration: Rule) throws {
        try configuration.validate()
        for (number, group) in groups.enumerated() { try group.validate(number: number) }
        slots = try ParameterSlot.slots(of: groups)
        for slot in slots { slot.usesFallback = !configuration.applies(to: slot.name, shape: slot.shape) }
        self.configuration = configuration
        learningRate = configuration.learningRate
        parameterGroups = groups
    }

    public func step(_ gradients: [Tensor?], learningRateFactor: Double) {
        precondition(gradients.count == slots.count, "\(gradients.count) gradients for \(slots.count) parameters")
        noGrad {
            for section in currentPlan(for: gradients).sections { update(section, gradients, learningRateFactor) }
        }
    }

    public func stateTensors() -> [String: Tensor] {
        var tensors: [String: Tensor] = [:]
        for slot in slots {
            let names: [String] = configuration.rule(of: slot).stateNames(shape: slot.shape)
            for (name, tensor) in zip(names, slot.state) { tensors["\(slot.name).\(name)"] = tensor }
        }
        return tensors
    }

    public var scalarState: OptimizerScalars {
        let counted: [(String, Int)] = slots.filter { $0.stepCount > 0 }.map { ($0.name, $0.stepCount) }
        return OptimizerScalars(learningRate: learningRate, stepCounts: Dictionary(uniqueKeysWithValues: counted))
    }

    public func loadState(_ tensors: [String: Tensor], scalars: OptimizerScalars) throws {
        let loader: StateLoader<Rule> = StateLoader(rule: configuration, tensors: tensors, scalars: scalars)
        let loaded: [[Tensor]] = try noGrad { try loader.states(of: slots) }
        for (slot, state) in zip(slots, loaded) {
            slot.state = state
            slot.stepCount = scalars.stepCounts[slot.name] ?? 0
        }
        learningRate = scalars.learningRate
        plan = nil
    }

    // MARK: One step

    private func currentPlan(for gradients: [Tensor?]) -> UpdatePlan {
        if let plan, plan.fits(gradients) { return plan }
        for (slot, gradient) in zip(slots, gradients) where gradient != nil && slot.stepCount == 0 { initializeState(of: slot) }
        let made: UpdatePlan = UpdatePlan(slots: slots, gradients: gradients)
        plan = made
        return made
    }

    private func update(_ section: UpdatePlan.Section, _ gradients: [Tensor?], _ factor: Double) {
        let group: ParameterGroup = parameterGroups[section.group]
        let rule: any UpdateRule = configuration.rule(of: section.slots[0])
        let working: [Tensor] = section.slots.map { $0.workingCopy() }
        for slot in section.slots { slot.stepCount += 1 }
        rule.update(
            UpdateBatch(
                names: section.slots.map(\.name), parameters: working,
                gradients: zip(section.slots, section.indices).map { $0.workingGradient(gradients[$1]!) },
                state: section.state, step: section.slots[0].stepCount,
                learningRate: (group.learningRate ?? learningRate * rateRatio(of: rule)) * group.learningRateMultiplier * factor,
                weightDecay: group.weightDecay ?? rule.weightDecay, pieceSums: pieceSums))
        for (slot, copy) in zip(section.slots, working) where copy !== slot.parameter { slot.parameter.copy_(from: copy) }
    }

    /// A rule's own learning rate by the configuration's: a fallback's rate follows the optimizer's in that ratio.
    private func rateRatio(of rule: any UpdateRule) -> Double {
        configuration.learningRate > 0 ? rule.learningRate / configuration.learningRate : 1
    }

    private func initializeState(of slot: ParameterSlot) {
        let like: Tensor = slot.workingCopy().detached()
        let rule: any UpdateRule = configuration.rule(of: slot)
        slot.state = rule.stateNames(shape: like.shape).map { rule.initialState($0, of: like) }
    }

    private static func sameParameters(_ before: [ParameterGroup], _ after: [ParameterGroup]) -> Bool {
        before.count == after.count
            && zip(before, after).allSatisfy { old, new in
                old.names == new.names && old.parameters.count == new.parameters.count
                    && zip(old.parameters, new.parameters).allSatisfy { $0 === $1 }
            }
    }
}

extension UpdateRule {
    /// What updates the parameter: this rule or its fallback.
    func rule(of slot: ParameterSlot) -> any UpdateRule { slot.usesFallback ? fallback : self }
}
