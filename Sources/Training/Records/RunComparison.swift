import Foundation

/// Several runs side by side: where their configurations differ, and what their metrics came to.
public struct RunComparison: Sendable, Equatable {
    /// One setting whose value is not the same in all runs; nil where a run does not have it.
    public struct Difference: Sendable, Equatable {
        /// The setting's path in the configuration, for example "model.layers".
        public let setting: String
        public let values: [String?]
    }

    public struct Metric: Sendable, Equatable {
        public let name: String
        /// For each run the metric in brief, or nil where it has not got it.
        public let summaries: [MetricSummary?]
    }

    public let runs: [Run]
    public let differences: [Difference]
    public let metrics: [Metric]
}

extension RunStore {
    /// Compares runs in the order given.
    public func compare(_ runs: [Run]) throws -> RunComparison {
        let configurations = try runs.map { try RunStore.settings(of: $0) }
        let settings = Set(configurations.flatMap(\.keys)).sorted()
        let differences = settings.compactMap { setting -> RunComparison.Difference? in
            let values = configurations.map { $0[setting] }
            return Set(values).count > 1 ? RunComparison.Difference(setting: setting, values: values) : nil
        }
        let summaries = try runs.map { run in
            Dictionary(uniqueKeysWithValues: try metrics(of: run).map { ($0.name, $0) })
        }
        let names = Set(summaries.flatMap(\.keys)).sorted()
        return RunComparison(
            runs: runs, differences: differences,
            metrics: names.map { name in RunComparison.Metric(name: name, summaries: summaries.map { $0[name] }) })
    }

    /// The configuration's values by their path, with the run's seed, commit and kind among them.
    static func settings(of run: Run) throws -> [String: String] {
        guard let value = try? JSONSerialization.jsonObject(with: Data(run.configuration.utf8), options: .fragmentsAllowed) else {
            throw DataFormatError(path: "run \(run.id)", "its configuration is not JSON")
        }
        var settings: [String: String] = [:]
        flatten(value, at: "", into: &settings)
        settings["(kind)"] = run.kind
        settings["(seed)"] = run.seed.map(String.init)
        settings["(commit)"] = run.commit
        return settings
    }

    private static func flatten(_ value: Any, at path: String, into settings: inout [String: String]) {
        func below(_ key: String) -> String { path.isEmpty ? key : path + "." + key }
        if let object = value as? [String: Any] {
            for (key, value) in object { flatten(value, at: below(key), into: &settings) }
        } else if let array = value as? [Any] {
            for (index, value) in array.enumerated() { flatten(value, at: below("\(index)"), into: &settings) }
        } else if let text = try? JSONSerialization.data(withJSONObject: value, options: .fragmentsAllowed) {
            settings[path.isEmpty ? "(value)" : path] = String(decoding: text, as: UTF8.self)
        }
    }
}

/// The forms in which a run's metrics can be exported.
public enum RunExportFormat: String, Sendable, CaseIterable {
    /// A header and one line for each point: run,metric,step,value,time.
    case csv
    /// One object for each point: {"run":...,"metric":...,"step":...,"value":...,"time":...}; a value that JSON cannot hold is null.
    case jsonLines = "jsonl"
}

extension RunStore {
    /// Writes every point of these runs through `write`, line by line, each with its end. Times are seconds since 1970.
    public func export(_ runs: [Run], as format: RunExportFormat, _ write: (String) throws -> Void) throws {
        if format == .csv { try write("run,metric,step,value,time\n") }
        for run in runs {
            try forEachPoint(of: run) { metric, point in
                let time = point.time.timeIntervalSince1970
                switch format {
                case .csv: try write("\(run.id),\(RunStore.csvField(metric)),\(point.step),\(point.value),\(time)\n")
                case .jsonLines:
                    let value = JSONText.number(point.value)
                    let names = "\"run\":\(JSONText.string(run.id)),\"metric\":\(JSONText.string(metric))"
                    try write("{\(names),\"step\":\(point.step),\"value\":\(value),\"time\":\(time)}\n")
                }
            }
        }
    }

    private static func csvField(_ text: String) -> String {
        guard text.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return text }
        return "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\""
    }
}
