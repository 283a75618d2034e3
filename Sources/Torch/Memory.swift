import CTorch

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Measurements of memory.
public enum Memory {
    /// Bytes of tensors that a piece of work needed.
    public struct Usage: Sendable, Equatable {
        /// Most bytes that were allocated at one time, beyond those at the start.
        public let peakByteCount: Int
        /// Bytes that were allocated at the end, beyond those at the start; negative where older tensors were freed.
        public let remainingByteCount: Int
    }

    /// Runs `body` and counts what libtorch allocates on the CPU on this thread. Calls do not nest: traps inside another one.
    public static func measure<Result>(_ body: () throws -> Result) rethrows -> (result: Result, usage: Usage) {
        if ct_memory_begin() != 0 { fatalError("Memory.measure: \(String(cString: ct_last_error()))") }
        defer { ct_memory_end() }
        let result: Result = try body()
        var current: Int64 = 0
        var peak: Int64 = 0
        ct_memory_now(&current, &peak)
        return (result, Usage(peakByteCount: Int(peak), remainingByteCount: Int(current)))
    }

    /// Keeps freed blocks of 1 MB and more on the CPU for the next tensors, instead of giving them back to the system at once.
    ///
    /// The system fills each page of a fresh block with zeros at its first touch, which in work on large tensors takes up to a third of the
    /// time. Blocks are rounded up by at most an eighth; of those kept, the ones unused for longest go first. A policy for a program to choose,
    /// at any time; the `linnet` command line does.
    ///
    /// - Parameter limit: most bytes of unused blocks; 0 gives them all back and keeps none from then on.
    public static func keepFreedBlocks(upTo limit: Int = 2 << 30) {
        precondition(limit >= 0, "Memory.keepFreedBlocks: a limit of \(limit) bytes")
        ct_keep_blocks(limit)
    }

    /// Bytes of this process that are in physical memory, or nil where the system does not say.
    public static var residentByteCount: Int? {
        #if os(Linux)
            // The second number of statm is the resident set, in pages.
            guard let file = fopen("/proc/self/statm", "r") else { return nil }
            defer { fclose(file) }
            var buffer: [CChar] = Array(repeating: 0, count: 256)
            guard fgets(&buffer, Int32(buffer.count), file) != nil else { return nil }
            let words: [Substring] = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(
                separator: " ")
            guard words.count > 1, let pages = Int(words[1]) else { return nil }
            return pages * sysconf(Int32(_SC_PAGESIZE))
        #elseif canImport(Darwin)
            var info: mach_task_basic_info = mach_task_basic_info()
            var count: mach_msg_type_number_t = mach_msg_type_number_t(
                MemoryLayout<mach_task_basic_info>.size / MemoryLayout<natural_t>.size)
            let status: kern_return_t = withUnsafeMutablePointer(to: &info) { pointer in
                pointer.withMemoryRebound(to: integer_t.self, capacity: Int(count)) {
                    task_info(mach_task_self_, task_flavor_t(MACH_TASK_BASIC_INFO), $0, &count)
                }
            }
            return status == KERN_SUCCESS ? Int(info.resident_size) : nil
        #else
            return nil
        #endif
    }
}
