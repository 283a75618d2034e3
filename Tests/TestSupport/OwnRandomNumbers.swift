import Testing
import Torch

/// Gives each case of each test a stream of random numbers of its own, from one seed: cases run side by side in one process, and
/// what they drew from a common stream would depend on who asks first.
public struct OwnRandomNumbers: TestTrait, SuiteTrait, TestScoping {
    public let isRecursive: Bool = true
    let seed: UInt64

    public func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await RandomGenerator.withRandomNumbers(from: RandomGenerator(seed: seed, device: .cpu)) { try await function() }
    }
}

extension Trait where Self == OwnRandomNumbers {
    public static var ownRandomNumbers: OwnRandomNumbers { OwnRandomNumbers(seed: 0) }
}
