import Foundation
import Torch

/// Runs code with layers that exchange tensors: where a rank was lost or a time went by, the group's own error is thrown. As `withTorchErrors`, which it
/// contains, it is for tensor work only.
public func withCollectiveErrors<Result>(_ body: () throws -> Result) throws -> Result {
    CollectiveFailure.last = nil
    do { return try withTorchErrors(body) } catch {
        throw CollectiveFailure.last ?? error
    }
}

/// The error of the collective that failed on this thread, since operators only report text.
private enum CollectiveFailure {
    private static let key: String = "linnet.collective-failure"

    static var last: (any Error)? {
        get { Thread.current.threadDictionary[key] as? any Error }
        set { Thread.current.threadDictionary[key] = newValue }
    }
}

/// Runs a collective where nothing can be thrown: in an operator, or in an optimizer's step.
package func reportingFailure(_ name: String, _ body: () throws -> Void) {
    do { try body() } catch {
        if CollectiveFailure.last == nil { CollectiveFailure.last = error }
        reportFailure(of: name, "\(error)")
    }
}
