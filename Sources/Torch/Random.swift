import CTorch

private let uniformOp: Operator = Operator("uniform_")
private let normalOp: Operator = Operator("normal_")
private let randintOp: Operator = Operator("random_", "from")
private let bernoulliOp: Operator = Operator("bernoulli_", "float")
private let randpermOp: Operator = Operator("randperm", "generator")
private let standardGammaOp: Operator = Operator("_standard_gamma")
private let multinomialOp: Operator = Operator("multinomial")

/// An explicit stream of random numbers on a device.
///
/// Two generators with one seed give the same numbers; ``state()`` saves and restores the place in the stream.
/// Tasks may share one: libtorch locks it for each draw.
public final class RandomGenerator: @unchecked Sendable {
    fileprivate let handle: CTGenerator
    public let device: Device

    /// A stream of its own that starts at `seed`.
    public init(seed: UInt64, device: Device = .default) {
        var result: CTGenerator?
        if ct_generator(device.code, seed, &result) != 0 { fatalError("RandomGenerator: \(String(cString: ct_last_error()))") }
        handle = result!
        self.device = device
    }

    private init(owning handle: CTGenerator, device: Device) {
        self.handle = handle
        self.device = device
    }

    deinit { ct_release_generator(handle) }

    @TaskLocal private static var ofTask: RandomGenerator?

    /// The task's own stream, see ``withRandomNumbers(from:_:)``, where it is one of that device.
    static func ofTask(on device: Device) -> RandomGenerator? { ofTask?.device == device ? ofTask : nil }

    /// Runs `body` with `generator` as the shared stream of its device, for this task and its children alone: tasks side by
    /// side do not take each other's numbers. Attention's and recurrent networks' dropout, and threads, stay with libtorch's stream.
    public static func withRandomNumbers<Result>(
        from generator: RandomGenerator, _ body: () async throws -> Result
    ) async rethrows -> Result { try await $ofTask.withValue(generator, operation: body) }

    /// The stream that operators use when no generator is given (dropout, for instance): the task's own, else libtorch's.
    public static func shared(on device: Device = .default) -> RandomGenerator { ofTask(on: device) ?? libtorchs(on: device) }

    /// The stream of libtorch's operators that take no generator.
    static func libtorchs(on device: Device) -> RandomGenerator {
        var result: CTGenerator?
        if ct_default_generator(device.code, &result) != 0 { fatalError("RandomGenerator: \(String(cString: ct_last_error()))") }
        return RandomGenerator(owning: result!, device: device)
    }

    public func seed(_ seed: UInt64) { ct_generator_seed(handle, seed) }

    /// The place in the stream, as a tensor of bytes.
    public func state() -> Tensor {
        var result: CTTensor?
        if ct_generator_state(handle, &result) != 0 { fatalError("RandomGenerator: \(String(cString: ct_last_error()))") }
        return Tensor(owning: result!)
    }

    /// - Throws: ``TorchError`` when the bytes are not a state of this kind of generator.
    public func restore(_ state: Tensor) throws {
        if ct_set_generator_state(handle, state.handle) != 0 { throw TorchError(String(cString: ct_last_error())) }
    }
}

extension RandomGenerator: OperatorArgument {
    public func encode(into arguments: inout ArgumentEncoder) {
        var value: CTValue = CTValue()
        value.kind = CTKindGenerator
        value.pointer = UnsafeRawPointer(handle)
        arguments.append(value)
    }
}

/// Seeds the shared generators of every device, and libtorch's beneath them.
public func seedEverything(_ seed: UInt64) {
    for device in [.cpu] + (0..<Device.cudaCount).map(Device.cuda) {
        RandomGenerator.libtorchs(on: device).seed(seed)
        RandomGenerator.ofTask(on: device)?.seed(seed)
    }
}

// Random tensors; without a generator they draw from the device's shared stream.
extension Tensor {
    /// Uniform in `[low, high)`.
    public static func uniform(
        _ shape: [Int], low: Double = 0, high: Double = 1, dtype: DType = .float32, device: Device = .default,
        generator: RandomGenerator? = nil
    ) -> Tensor {
        let result: Tensor = empty(shape, dtype: dtype, device: device)
        uniformOp.perform(result, low, high, generator ?? .ofTask(on: device))
        return result
    }

    public static func normal(
        _ shape: [Int], mean: Double = 0, standardDeviation: Double = 1, dtype: DType = .float32, device: Device = .default,
        generator: RandomGenerator? = nil
    ) -> Tensor {
        let result: Tensor = empty(shape, dtype: dtype, device: device)
        normalOp.perform(result, mean, standardDeviation, generator ?? .ofTask(on: device))
        return result
    }

    /// Integers in `[low, high)`.
    public static func randomIntegers(
        _ shape: [Int], low: Int = 0, high: Int, dtype: DType = .int64, device: Device = .default, generator: RandomGenerator? = nil
    ) -> Tensor {
        let result: Tensor = empty(shape, dtype: dtype, device: device)
        randintOp.perform(result, low, high, generator ?? .ofTask(on: device))
        return result
    }

    /// Ones with the given probability, else zeros.
    public static func bernoulli(
        _ shape: [Int], probability: Double, dtype: DType = .float32, device: Device = .default, generator: RandomGenerator? = nil
    ) -> Tensor {
        let result: Tensor = empty(shape, dtype: dtype, device: device)
        bernoulliOp.perform(result, probability, generator ?? .ofTask(on: device))
        return result
    }

    /// Draws from the gamma distribution with rate 1, one for each element of `concentration` (its shape parameter, above 0).
    public static func gamma(_ concentration: Tensor, generator: RandomGenerator? = nil) -> Tensor {
        standardGammaOp(concentration, generator ?? .ofTask(on: concentration.device))
    }

    /// `0 ..< count` in random order (int64).
    public static func randomPermutation(_ count: Int, device: Device = .default, generator: RandomGenerator? = nil) -> Tensor {
        randpermOp(count, generator ?? .ofTask(on: device), DType.int64, Int?.none, device, Bool?.none)
    }

    /// Indices drawn by the weights of the last axis: `[count]` or `[rows, count]`.
    public func multinomial(_ count: Int, replacement: Bool = false, generator: RandomGenerator? = nil) -> Tensor {
        multinomialOp(self, count, replacement, generator ?? .ofTask(on: device))
    }
}
