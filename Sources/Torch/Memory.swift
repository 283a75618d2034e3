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

    /// Has the C library keep freed memory for the next tensors instead of giving it back to the system.
    ///
    /// By default glibc maps every tensor above 32 MB anew, and the system fills each of its pages with zeros at the first touch. In work on
    /// such tensors that takes a quarter of the time. The price is that the process holds on to what it once needed (above 2 GB at the end
    /// of the heap it is still given back). A policy for a program, not for a library: call it once, before the first tensor.
    ///
    /// - Returns: whether the C library can be told so; false outside glibc, where nothing changes.
    @discardableResult
    public static func keepFreedPages() -> Bool { ct_keep_freed_pages() }

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
