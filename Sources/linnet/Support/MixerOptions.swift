import ArgumentParser
import SequenceModels

extension MixerKind: ExpressibleByArgument {}
extension MemoryBackendKind: ExpressibleByArgument {}
extension TransNormerVariant: ExpressibleByArgument {}

/// The flags that choose a sequence mixer.
struct MixerOptions: ParsableArguments {
    @Option(help: "Sequence mixer of the layers.")
    var mixer: MixerKind = .gla
    @Option(help: "Heads of the mixer.")
    var heads: Int = 4
    @Option(name: .customLong("expand-key"), help: "Key width of all heads, as a multiple of the model's width.")
    var expandKey: Double?
    @Option(name: .customLong("expand-value"), help: "Value width of all heads, as a multiple of the model's width.")
    var expandValue: Double?
    @Option(help: "Width of the short convolution before the mixer; 0 leaves it out.")
    var convolution: Int?
    @Option(help: "Keys that softmax attention sees, or steps in a block of diag-attention.")
    var window: Int?
    @Option(help: "State order of LSSL and Mamba.")
    var order: Int?
    @Option(help: "Memories that MoM routes tokens to.")
    var memories: Int?
    @Option(name: .customLong("active-memories"), help: "Memories of MoM that a token is written to and read from.")
    var activeMemories: Int?
    @Option(name: .customLong("memory-backend"), help: "How a memory of MoM is written.")
    var memoryBackend: MemoryBackendKind?
    @Option(help: "TransNormer's kind of norm-attention and diag-attention.")
    var variant: TransNormerVariant?

    var configuration: MixerConfiguration {
        MixerConfiguration(
            mixer, heads: heads, expandKey: expandKey, expandValue: expandValue, convolution: convolution, window: window, order: order,
            memories: memories, activeMemories: activeMemories, memoryBackend: memoryBackend, variant: variant)
    }
}
