import Foundation
import Synchronization

/// Runs work that nests deeply on a thread of its own: what a pool's thread has for a stack differs between systems and may be half a megabyte.
enum DeepStack {
    /// Four times what the deepest template takes without optimisation.
    private static let bytes: Int = 8 << 20

    /// Waits for the result of the work.
    static func run<Value: Sendable, Failure: Error>(_ work: @escaping @Sendable () throws(Failure) -> Value) throws(Failure) -> Value {
        let outcome: Mutex<Result<Value, Failure>?> = Mutex(nil)
        let done: DispatchSemaphore = DispatchSemaphore(value: 0)
        let thread: Thread = Thread {
            let result: Result<Value, Failure> = Result(catching: work)
            outcome.withLock { $0 = result }
            done.signal()
        }
        thread.stackSize = bytes
        thread.start()
        done.wait()
        guard let result = outcome.withLock({ $0 }) else { preconditionFailure("a thread ended without a result") }
        return try result.get()
    }
}
