import Foundation

/// One comparison that `linnet-bench` runs by name.
protocol Benchmark {
    /// The name on the command line.
    static var name: String { get }
    /// What is compared, in one line.
    static var summary: String { get }
    /// Measures and prints.
    static func run() throws
}

/// A failure of the benchmark itself, as one line.
struct BenchmarkError: Error, CustomStringConvertible {
    let description: String
}

/// Prints a line at once, also into a pipe: measurements take minutes.
func printLine(_ text: String) {
    print(text)
    fflush(nil)
}
