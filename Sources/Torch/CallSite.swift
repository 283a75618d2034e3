#if canImport(Runtime)
    import Runtime
#endif

/// Finds the line of the user's program that called into this module, for the message of a trap.
enum CallSite {
    /// " (at File.swift:12 in function)", or nothing where the stack cannot be read.
    static func describe() -> String {
        #if canImport(Runtime)
            guard let frames = try? Backtrace.capture(limit: 64).symbolicated(options: [.showInlineFrames, .useSymbolCache])?.frames else {
                return ""
            }
            for frame in frames {
                guard let symbol = frame.symbol, let source = symbol.sourceLocation else { continue }
                if source.path.contains("Sources/Torch/") || source.path.contains("<compiler-generated>") { continue }
                return " (called at \(source.path):\(source.line) in \(symbol.name))"
            }
        #endif
        return ""
    }
}
