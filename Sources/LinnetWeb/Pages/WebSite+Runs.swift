import Experiments
import Foundation
import Papers

extension WebSite {
    /// Runs whose curves are drawn over one another at a time.
    static let mostCompared: Int = 8

    /// The newest runs, and the curves of those that are chosen.
    func runs(compare ids: [Int64]) throws -> Page {
        let runs: [PaperRun] = try store.runSummaries(limit: 100)
        let rows: [View] = runs.map { run in ReportView.row(run).merging(["isChosen": ids.contains(run.id)]) }
        let chosen: [(letter: String, run: PaperRun)] = try compared(ids).map { ($0.letter, $0.run) }
        let legend: [View] = chosen.map { letter, run in ReportView.row(run).merging(["letter": letter]) }
        let charts: [ReportChart] = try comparison(ids)
        let address: String = "/curves.json?" + ids.map { "run=\($0)" }.joined(separator: "&")
        let view: View = ["hasRuns": !rows.isEmpty, "runs": rows, "hasComparison": !legend.isEmpty, "compared": legend]
        return Page(
            template: "runs", title: "Runs", section: .runs, hasPlots: !charts.isEmpty,
            view: view.merging(ReportView.charts(charts, curves: address)))
    }

    /// The charts of several runs, each method under its run's letter.
    func comparison(_ ids: [Int64]) throws -> [ReportChart] {
        let curves: [Measurements.Curve] = try compared(ids).flatMap { letter, _, report in
            report.measurements.curves.map { curve in
                Measurements.Curve(
                    method: "\(letter) \(curve.method)", metric: curve.metric, axis: curve.axis, seed: curve.seed, x: curve.x, y: curve.y)
            }
        }
        return ReportChart.charts(of: curves)
    }

    private func compared(_ ids: [Int64]) throws -> [(letter: String, run: PaperRun, report: Report)] {
        guard ids.count <= Self.mostCompared else { throw WebError.bad("at most \(Self.mostCompared) runs can be compared at a time") }
        return try zip("ABCDEFGH", ids).compactMap { letter, id in
            guard let run = try store.run(id) else { throw WebError.notFound("there is no run \(id)") }
            return try run.decodedReport().map { (String(letter), run, $0) }
        }
    }

    /// One run's page.
    func run(_ id: Int64) throws -> Page {
        let (run, report) = try found(id)
        let view: View? = report.map { ReportView.view($0, curves: "/runs/\(id)/curves.json") }
        return Page(
            template: "run", title: "\(run.slug), \(run.scale.rawValue)", section: .runs,
            hasPlots: report?.measurements.curves.isEmpty == false, view: ReportView.row(run).merging(["report": view]))
    }

    /// The charts of one run.
    func charts(of id: Int64) throws -> [ReportChart] {
        try found(id).report.map { ReportChart.charts(of: $0.measurements.curves) } ?? []
    }

    private func found(_ id: Int64) throws -> (run: PaperRun, report: Report?) {
        guard let run = try store.run(id) else { throw WebError.notFound("there is no run \(id)") }
        return (run, try run.decodedReport())
    }

    /// A tile for each of Linnet's own papers.
    func overview() throws -> Page {
        let papers: [Paper] = try store.ownPapers()
        let decided: [String: PaperRun] = try store.decidedRuns()
        let groups: [View] = PaperGroup.allCases.compactMap { group in
            let members: [Paper] = papers.filter { $0.group == group }
            guard !members.isEmpty else { return nil }
            return ["name": group.rawValue, "title": group.title, "papers": members.map { tile($0, decided[$0.slug]) }]
        }
        let counts: [String] = [PaperStatus.reproduced, .notShown, .experiment, .component, .planned].compactMap { status in
            let count: Int = papers.count { $0.status == status }
            return count > 0 ? "\(count) \(status.label)" : nil
        }
        let summary: String = "Of \(Wording.count(papers.count, "paper")): \(counts.joined(separator: ", "))."
        return Page(template: "overview", title: "Results", section: .results, view: ["summaryText": summary, "groups": groups])
    }

    private func tile(_ paper: Paper, _ run: PaperRun?) -> View {
        let isOpen: Bool = run?.verdict == .inconclusive && paper.status == .experiment
        return [
            "slug": paper.slug, "title": Wording.shortened(paper.title, to: 70), "figure": figure(paper),
            "ours": run.map(Self.outcome), "label": isOpen ? PaperVerdict.inconclusive.label : paper.status.label,
            "tone": isOpen ? PaperVerdict.inconclusive.tone : paper.status.tone,
        ]
    }
}
