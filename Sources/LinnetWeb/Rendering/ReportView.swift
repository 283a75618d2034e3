import Experiments
import Foundation
import Papers

/// What the templates `report` and `runs` read of a report.
enum ReportView {
    /// - Parameter curves: address of the curves as JSON.
    static func view(_ report: Report, curves: String) -> View {
        let table: [[String]] = report.table()
        let rows: [View] = table.dropFirst().map { ["method": $0.first, "cells": Array($0.dropFirst())] }
        let gates: [View] = report.gates.map { gate in
            ["statement": gate.statement, "verdict": gate.passed ? "passed" : "failed", "tone": gate.passed ? "good" : "bad"]
        }
        let view: View = [
            "reportSummary": report.summary, "columns": table.first ?? [], "rows": rows, "hasClaims": !report.claims.isEmpty,
            "claimRows": report.claims.map(claim), "hasGates": !gates.isEmpty, "gates": gates, "provenance": provenance(report),
        ]
        return view.merging(charts(ReportChart.charts(of: report.measurements.curves), curves: curves))
    }

    static func charts(_ charts: [ReportChart], curves: String) -> View {
        let views: [View] = charts.map { ["title": $0.title, "svg": Markup(renderText: $0.svg())] }
        return ["hasCharts": !views.isEmpty, "charts": views, "curves": curves]
    }

    /// The charts as JSON for the plotting library; numbers that are not finite are null.
    static func json(_ charts: [ReportChart]) -> Data {
        let plain: [[String: Any]] = charts.map { chart in
            let series: [[String: Any]] = chart.series.map { ["name": $0.name, "x": $0.x.map(finite), "y": $0.y.map(finite)] }
            return ["metric": chart.metric, "axis": chart.axis, "series": series]
        }
        return (try? JSONSerialization.data(withJSONObject: plain, options: .sortedKeys)) ?? Data("[]".utf8)
    }

    private static func finite(_ value: Double) -> Any { value.isFinite ? value : NSNull() }

    private static func claim(_ claim: ClaimResult) -> View {
        let tone: String =
            switch claim.verdict {
            case .shown: "good"
            case .notShown: "bad"
            case .inconclusive: "open"
            }
        return [
            "statement": claim.statement, "measured": claim.mean.map(Report.number) ?? "not measured",
            "interval": claim.interval.map { "\(Report.number($0[0])) to \(Report.number($0[1]))" } ?? "–",
            "wanted": Report.number(claim.threshold), "verdict": claim.verdict.rawValue, "tone": tone,
        ]
    }

    private static func provenance(_ report: Report) -> String {
        let facts: String = report.environment.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        let seeds: String = report.seeds.map(String.init).joined(separator: ", ")
        return
            "Scale \(report.scale.rawValue), seeds \(seeds), \(Wording.seconds(report.seconds)), \(Wording.time(report.started)); \(facts)."
    }

    /// A run as a row of a table.
    static func row(_ run: PaperRun) -> View {
        [
            "id": Int(run.id), "slug": run.slug, "machineTime": Wording.machineTime(run.startedAt), "started": Wording.time(run.startedAt),
            "scale": run.scale.rawValue, "seeds": run.seeds, "seedText": Wording.count(run.seeds, "seed"), "verdict": run.verdict.label,
            "tone": run.verdict.tone, "claims": run.claims == 0 ? "–" : "\(run.claimsShown) of \(run.claims)",
            "time": Wording.seconds(run.seconds), "hasReport": run.verdict.isFinished,
        ]
    }
}
