import Foundation
import TestSupport
import Testing
import Torch

/// The numbers that the tests compare with, all computed by one Python process, since importing torch takes seconds.
enum PythonReference {
    /// Whether Python could be run and had torch and numpy.
    static var isAvailable: Bool { (try? values.get()) != .some([:]) }

    /// - Throws: what Python said where its script failed.
    static func numbers(_ name: String) throws -> [Double] {
        try #require(try values.get()[name], "no section \(name)")
    }

    private static let values: Result<[String: [Double]], any Error> = Result {
        guard PythonPeer.has() else { return [:] }
        return try JSONDecoder().decode([String: [Double]].self, from: Data(PythonPeer.run(script).utf8))
    }

    /// Python that fills `result` (numbers), by name.
    private static var sections: [(name: String, python: String)] {
        ruleReferences.map { ($0.name, $0.python) } + torchSchedules.map { ($0.name, $0.python) } + [
            ("clipping", GradientTests.pythonClipping)
        ]
    }

    private static var script: String {
        let bodies: [String] = sections.map {
            "def section():\n\(indented($0.python))\n    return result\nvalues['\($0.name)'] = section()"
        }
        return prelude + bodies.joined(separator: "\n") + "\nprint(json.dumps({k: [float(x) for x in v] for k, v in values.items()}))"
    }

    /// `start()` gives the toy problem's parameters, `grads(ps, step)` their gradients.
    private static var prelude: String {
        let tensors: [String] = ToyProblem().parameters.map { "torch.tensor(\($0.array(Double.self))).reshape(\($0.shape))" }
        return """
            import json, math, sys, warnings
            try:
                import numpy as np
                import torch
            except ImportError:
                print("{}")
                sys.exit()
            warnings.simplefilter("ignore")
            torch.set_default_dtype(torch.float64)
            S = torch.optim.lr_scheduler
            values = {}
            def start(): return [\(tensors.joined(separator: ", "))]
            def grads(ps, step): return [torch.sin(3 * p.detach() + step) for p in ps]
            def flat(ps): return [x for p in ps for x in p.detach().flatten().tolist()]

            """
    }

    private static func indented(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { "    \($0)" }.joined(separator: "\n")
    }
}
