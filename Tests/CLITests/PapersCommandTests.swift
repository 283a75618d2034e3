import Foundation
import TestSupport
import Testing

@Suite struct PapersCommandTests {
    private func papers(_ arguments: String..., in folder: URL) throws -> LinnetResult {
        try LinnetProcess(["papers"] + arguments + ["--db", "papers.db"], in: folder).finish()
    }

    private func json(_ result: LinnetResult) throws -> Any { try JSONSerialization.jsonObject(with: Data(result.output.utf8)) }

    @Test func listShowAndSearch() throws {
        try TestPaths.withTemporaryFolder { folder in
            let list: LinnetResult = try papers("list", "--order", "title", "--limit", "5", in: folder)
            #expect(list.status == 0 && list.output.contains("5 of 72 papers"), "\(list.output)\(list.errors)")
            #expect(try (json(papers("list", "--group", "sequence", "--json", in: folder)) as? [Any])?.isEmpty == false)
            let show: LinnetResult = try papers("show", "gla", in: folder)
            #expect(show.output.hasPrefix("gla: Gated Linear Attention") && show.output.contains("https://arxiv.org/abs/2312.06635"))
            let details: [String: Any]? = try json(papers("show", "gla", "--json", in: folder)) as? [String: Any]
            #expect((details?["keywords"] as? [String])?.contains("linear attention") == true)
            let search: LinnetResult = try papers("search", "delta", "rule", in: folder)
            #expect(search.status == 0 && search.output.hasPrefix("1. deltanet: "), "\(search.output)\(search.errors)")
            #expect(try papers("search", "--limit", "3", "--mode", "keyword", "\"delta rule\" -gate", in: folder).status == 0)
            let hits: [[String: Any]]? = try json(papers("similar", "gla", "--limit", "3", "--json", in: folder)) as? [[String: Any]]
            #expect(hits?.count == 3)
        }
    }

    @Test func importExportAndVotes() throws {
        try TestPaths.withTemporaryFolder { folder in
            try Data("A Paper of Mine\n\nWith an abstract.\n".utf8).write(to: folder.appendingPathComponent("mine.txt"))
            let first: LinnetResult = try papers("import", "mine.txt", in: folder)
            #expect(first.status == 0 && first.output.contains("1 added, 0 merged, 0 skipped"), "\(first.output)\(first.errors)")
            #expect(try papers("import", "mine.txt", in: folder).output.contains("it is there as 'a-paper-of-mine'"))
            #expect(try papers("export", "--source", "listing", "--out", "mine.bib", in: folder).status == 0)
            let back: LinnetResult = try LinnetProcess(["papers", "import", "mine.bib", "--db", "other.db"], in: folder).finish()
            #expect(back.output.contains("1 added"))
            #expect(try papers("upvote", "a-paper-of-mine", "--voter", "ann", in: folder).output.contains("votes: 1"))
            #expect(try papers("upvote", "a-paper-of-mine", "--voter", "ann", in: folder).output.contains("had voted"))
            #expect(try papers("trending", "--limit", "1", in: folder).output.contains("a-paper-of-mine"))
            #expect(try papers("add", "--title", "Second", "--arxiv", "2412.06464", in: folder).output.contains("added second"))
            #expect(try papers("edit", "second", "--year", "2024", in: folder).status == 0)
            #expect(try papers("note", "second", "read it", in: folder).status == 0)
            #expect(try papers("show", "second", in: folder).output.contains("read it"))
            #expect(try papers("doctor", in: folder).status == 0)
        }
    }

    @Test func evaluation() throws {
        try TestPaths.withTemporaryFolder { folder in
            let result: LinnetResult = try papers("eval", in: folder)
            #expect(result.status == 0 && result.output.contains("linear layer") && result.output.contains("mean"), "\(result.errors)")
        }
    }

    @Test(arguments: [
        (["show", "glaa"], "near are gla"), (["search", "yaer:2023"], "there is no field 'yaer'"), (["search", "\"open"], "no second one"),
        (["search", "a", "--limit", "0"], "--limit"), (["import", "missing.bib"], "No such file"),
        (["import", "bad.bib"], "bad.bib, line 2"),
        (["edit", "gla", "--year", "2020"], "Linnet's own cards"), (["edit", "gla"], "give what is to be changed"),
        (["search", "x", "--encoder", "nowhere"], "nowhere"), (["add", "--title", "x", "--arxiv", "none"], "no arXiv identifier"),
        (["eval", "--judgements", "bad.bib"], "not a list of judged queries"), (["list", "--group", "cars"], "cars"),
    ]) func mistakesAreOneLine(arguments: [String], complaint: String) throws {
        try TestPaths.withTemporaryFolder { folder in
            try Data("@misc{a,\n title = {x} year = 2}".utf8).write(to: folder.appendingPathComponent("bad.bib"))
            let result: LinnetResult = try LinnetProcess(["papers"] + arguments + ["--db", "papers.db"], in: folder).finish()
            #expect(result.status == 2 && result.complaint?.contains(complaint) == true, "\(result.errors)")
        }
    }

    @Test func everyCommandHasExamples() throws {
        try TestPaths.withTemporaryFolder { folder in
            for command in [
                "list", "show", "search", "similar", "trending", "import", "export", "add", "edit", "note", "upvote", "encode", "eval",
                "doctor",
            ] {
                let help: LinnetResult = try LinnetProcess(["papers", command, "--help"], in: folder).finish()
                #expect(help.status == 0 && help.output.contains("linnet papers \(command)"), "\(command)")
            }
        }
    }
}
