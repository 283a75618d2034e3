import TestSupport
import Testing
import Torch

#if canImport(Glibc)
    import Glibc
#endif

/// The tests of growth run in processes of their own, since other tests beside them would count too.
@Suite(.ownRandomNumbers) struct MemoryTests {
    /// How much the process grows while a step is repeated, after a warm-up that fills libtorch's and malloc's caches: twice the growth of
    /// the half that grew less, since a leak goes on while a cache that fills late does so once.
    private static func growth(steps: Int, warmUp: Int, _ step: () -> Void) throws -> Int {
        for _ in 0..<warmUp { step() }
        var growths: [Int] = []
        for _ in 0..<2 {
            let before: Int = try #require(Memory.residentByteCount)
            for _ in 0..<steps / 2 { step() }
            growths.append(try #require(Memory.residentByteCount) - before)
        }
        return 2 * growths.min()!
    }

    @Test func aHundredThousandTrainingStepsDoNotGrow() async {
        await #expect(processExitsWith: .success) {
            let weight: Tensor = Tensor.full([4, 4], 0.1, device: .cpu).requiringGrad()
            let x: Tensor = Tensor.ones([2, 4], device: .cpu)
            let grown: Int = try MemoryTests.growth(steps: 100_000, warmUp: 2_000) {
                let loss: Tensor = linear(x, weight: weight).square().mean()
                let gradient: Tensor = gradients(of: [loss], withRespectTo: [weight])[0]
                noGrad { weight.subtract_(gradient * 0.01) }
            }
            // 16 bytes a step would be 1.6 MB; one tensor a step at least 20 MB.
            #expect(grown < 1_500_000, "grew by \(grown) bytes")
        }
    }

    @Test func failingCallsDoNotLeak() async {
        await #expect(processExitsWith: .success) {
            let a: Tensor = Tensor.ones([64, 64], device: .cpu)
            let b: Tensor = Tensor.ones([63, 64], device: .cpu)
            let grown: Int = try MemoryTests.growth(steps: 20_000, warmUp: 500) {
                // Each failure leaves temporaries of 16 KB behind it.
                _ = try? withTorchErrors { ((a * 2).matmul(b * 2) + a).exp() }
            }
            #expect(grown < 1_500_000, "grew by \(grown) bytes")
        }
    }

    @Test func failingBackwardsDoNotLeak() async {
        await #expect(processExitsWith: .success) {
            let x: Tensor = Tensor.ones([64, 64], device: .cpu).requiringGrad()
            let grown: Int = try MemoryTests.growth(steps: 3_000, warmUp: 200) {
                let output: Tensor = customFunction("broken", [x]) { ([$0[0] * 2], { _ in throw TorchError("no way back") }) }[0]
                _ = try? withTorchErrors { gradients(of: [output.sum()], withRespectTo: [x]) }
            }
            #expect(grown < 1_500_000, "grew by \(grown) bytes")
        }
    }

    #if canImport(Glibc)
        @Test func keptBlocksAreNotMappedAnew() async {
            await #expect(processExitsWith: .success) {
                // 64 MB are 16384 pages.
                func use() { _ = Tensor.ones([16 << 20], device: .cpu) }
                func faults() -> Int {
                    use()
                    let before: Int = MemoryTests.pageFaults()
                    for _ in 0..<4 { use() }
                    return MemoryTests.pageFaults() - before
                }
                #expect(faults() > 4 * 16384)
                Memory.keepFreedBlocks()
                #expect(faults() < 1024)
                Memory.keepFreedBlocks(upTo: 32 << 20)
                #expect(faults() > 4 * 16384)
            }
        }

        @Test func keptBlocksStayBelowTheLimit() async {
            await #expect(processExitsWith: .success) {
                Memory.keepFreedBlocks(upTo: 64 << 20)
                let before: Int = try #require(Memory.residentByteCount)
                for size in 1...40 { _ = Tensor.ones([size << 18], device: .cpu) }
                #expect(try #require(Memory.residentByteCount) - before < 80 << 20)
                Memory.keepFreedBlocks(upTo: 0)
                #expect(try #require(Memory.residentByteCount) - before < 8 << 20)
            }
        }

        @Test func keptBlocksAreCountedAsTheyAreAskedFor() async {
            await #expect(processExitsWith: .success) {
                Memory.keepFreedBlocks()
                for _ in 0..<2 {
                    let usage: Memory.Usage = Memory.measure { Tensor.ones([5 << 20], device: .cpu) + 1 }.usage
                    #expect(usage.peakByteCount >= 40 << 20 && usage.peakByteCount <= 40 << 20 + 4096)
                }
            }
        }

        private static func pageFaults() -> Int {
            var usage: rusage = rusage()
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
            return usage.ru_minflt
        }
    #endif

    @Test func measureCountsPeakAndRest() {
        let bytes: Int = 1 << 20
        let measured: (result: Tensor, usage: Memory.Usage) = Memory.measure {
            let first: Tensor = Tensor.zeros([bytes / 4], device: .cpu)
            return withExtendedLifetime(first) { first + 1 } + 1
        }
        let usage: Memory.Usage = measured.usage
        #expect(measured.result.count == bytes / 4)
        #expect(usage.remainingByteCount >= bytes && usage.remainingByteCount < bytes + 4096)
        #expect(usage.peakByteCount >= 2 * bytes && usage.peakByteCount <= 3 * bytes + 4096)
    }
}
