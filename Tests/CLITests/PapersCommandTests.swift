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

    @Test(.enabled(if: FakeArXiv.isAvailable, "\(FakeArXiv.missing)")) func importFromArXiv() throws {
        try TestPaths.withTemporaryFolder { folder in
            let server: FakeArXiv = try FakeArXiv()
            let first: LinnetResult = try papers(
                "import", "--fetch", "delta rule", "--most", "5", "--arxiv-address", server.address, in: folder)
            #expect(first.status == 0 && first.output == "arXiv: 5 added, 0 merged, 0 skipped\n", "\(first.output)\(first.errors)")
            #expect(try papers("export", "--source", "arxiv", in: folder).output.contains("https://arxiv.org/abs/2501.00003"))
            let refused: LinnetResult = try papers("import", "--fetch", "closed", "--arxiv-address", server.address, in: folder)
            #expect(refused.status == 2 && refused.complaint == "127.0.0.1 answered with status 403; try again later", "\(refused.errors)")
        }
    }

    /// A browser is not there, and then is.
    @Test func open() throws {
        try TestPaths.withTemporaryFolder { folder in
            let command: [String] = ["papers", "open", "gla", "--json", "--db", "papers.db"]
            let none: LinnetResult = try LinnetProcess(command, in: folder, environment: ["PATH": folder.path]).finish()
            let address: String = "https://arxiv.org/abs/2312.06635"
            let page: [String: Any]? = try json(none) as? [String: Any]
            #expect(page?["address"] as? String == address && page?["isOpened"] as? Bool == false, "\(none.output)\(none.errors)")
            for name in ["xdg-open", "open"] {
                let program: URL = folder.appendingPathComponent(name)
                try Data("#!/bin/sh\necho \"$1\" > opened\n".utf8).write(to: program)
                try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program.path)
            }
            let opened: LinnetResult = try LinnetProcess(
                ["papers", "open", "gla", "--db", "papers.db"], in: folder, environment: ["PATH": folder.path]
            ).finish()
            #expect(opened.status == 0 && opened.output == address + "\n", "\(opened.errors)")
            #expect(try String(contentsOf: folder.appendingPathComponent("opened"), encoding: .utf8) == address + "\n")
            #expect(try papers("add", "--title", "Without one", in: folder).status == 0)
            #expect(try papers("open", "without-one", in: folder).complaint?.contains("no arXiv identifier") == true)
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
        (["import"], "or --fetch QUERY"), (["import", "--fetch", "a", "--offline"], "--offline forbids --fetch"),
        (["import", "--fetch", "\"a"], "no second one"), (["import", "--fetch", "a", "--most", "0"], "0 papers; 1 to 2000"),
        (["import", "--fetch", "a", "--arxiv-address", "ftp://x"], "no http or https address"),
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
                "list", "show", "open", "search", "similar", "trending", "import", "export", "add", "edit", "note", "upvote", "encode",
                "eval",
                "doctor",
            ] {
                let help: LinnetResult = try LinnetProcess(["papers", command, "--help"], in: folder).finish()
                #expect(help.status == 0 && help.output.contains("linnet papers \(command)"), "\(command)")
            }
        }
    }
}
