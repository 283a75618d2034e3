import Foundation
import Synchronization

/// Ctrl-C (SIGINT) and SIGTERM as a flag that loops look at between steps.
public enum Interrupt {
    private static let flag: Atomic<Bool> = Atomic(false)

    /// From now on the first signal only sets the flag; a second one ends the process at once.
    public static func install() {
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                if Interrupt.flag.exchange(true, ordering: .relaxed) {
                    signal(number, SIG_DFL)
                    raise(number)
                }
            }
        }
    }

    /// Lets both signals reach the calling thread: who started the process may have held them back, and a mask outlives `exec`.
    public static func admitSignals() {
        var signals: sigset_t = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM] { sigaddset(&signals, number) }
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }

    public static var isRequested: Bool { flag.load(ordering: .relaxed) }

    /// Sets the flag as a signal would.
    public static func request() { flag.store(true, ordering: .relaxed) }

    static func reset() { flag.store(false, ordering: .relaxed) }
}
