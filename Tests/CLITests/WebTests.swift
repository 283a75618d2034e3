import Foundation
import TestSupport
import Testing

/// `linnet web` as a process.
@Suite(.timeLimit(.minutes(3))) struct WebTests {
    private struct Server {
        let process: LinnetProcess
        let address: String
        let folder: URL

        var identifier: String { String(process.process.processIdentifier) }
    }

    /// Runs `body` with a server of a fresh catalogue; ends it with SIGTERM, which it has to obey, unless it has ended.
    private func serving(_ flags: [String] = [], in folder: URL, _ body: (Server) throws -> Void) throws {
        let process: LinnetProcess = try LinnetProcess(["web", "--port", "0", "--db", "papers.db"] + flags, in: folder)
        defer { if process.process.isRunning { kill(process.process.processIdentifier, SIGKILL) } }
        try body(Server(process: process, address: try address(of: process), folder: folder))
        guard process.process.isRunning else { return }
        process.process.terminate()
        let result: LinnetResult = process.finish()
        #expect(result.status == 0 && result.errors.isEmpty, "\(result.errors)")
    }

    private func address(of process: LinnetProcess) throws -> String {
        let limit: Date = Date().addingTimeInterval(60)
        while true {
            if let line = process.outputSoFar.split(separator: "\n").first, let start = line.range(of: "http://") {
                return String(line[start.lowerBound...].prefix { $0 != " " })
            }
            try #require(process.process.isRunning && Date() < limit, "the server did not start")
            usleep(10_000)
        }
    }

    /// Eight visitors vote as fast as they can while the server is killed: what it had acknowledged is there afterwards, three times over.
    @Test(.enabled(if: PythonPeer.has("sqlite3"), "needs Python")) func aKillLosesNothingThatWasAcknowledged() throws {
        try TestPaths.withTemporaryFolder { folder in
            for round in 1...3 {
                try serving(in: folder) { server in
                    let report: String = try PythonPeer.run(
                        Self.votes, server.address, server.identifier, folder.appendingPathComponent("papers.db").path, String(round))
                    #expect(report.hasPrefix("ok, nothing lost of "), "\(report)")
                    server.process.process.waitUntilExit()
                }
            }
        }
    }

    /// Votes from many loopback addresses, kills the server in the middle, and looks at the file.
    private static let votes: String = """
        import sys, os, re, time, signal, sqlite3, threading, http.client, urllib.parse
        place = urllib.parse.urlsplit(sys.argv[1]); acknowledged = []; lock = threading.Lock(); stop = threading.Event()
        slugs = [row[0] for row in sqlite3.connect(sys.argv[3]).execute("SELECT slug FROM paper ORDER BY slug LIMIT 40")]
        def vote(client):
            for turn in range(200):
                source = f"127.{sys.argv[4]}.{turn + 1}.{client + 1}"
                connection = http.client.HTTPConnection(place.hostname, place.port, timeout=10, source_address=(source, 0))
                connection.request("GET", "/subscribe", headers={"Accept": "text/html"})
                answer = connection.getresponse(); page = answer.read().decode()
                cookie = answer.headers["Set-Cookie"].split(";")[0]; token = re.search('name="token" value="([0-9a-f]+)"', page).group(1)
                for slug in slugs:
                    connection.request("POST", "/upvote/" + slug, "token=" + token,
                        {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"})
                    answer = connection.getresponse(); answer.read()
                    if answer.status != 303: raise SystemExit(f"status {answer.status}")
                    with lock: acknowledged.append(slug)
        def run(client):
            try: vote(client)
            except (OSError, http.client.HTTPException): stop.set()
        threads = [threading.Thread(target=run, args=(client,)) for client in range(8)]
        for thread in threads: thread.start()
        while len(acknowledged) < 200 and not stop.is_set(): time.sleep(0.01)
        os.kill(int(sys.argv[2]), signal.SIGKILL)
        for thread in threads: thread.join()
        before = int(open(sys.argv[3] + ".count").read()) if os.path.exists(sys.argv[3] + ".count") else 0
        database = sqlite3.connect(sys.argv[3])
        check = database.execute("PRAGMA integrity_check").fetchone()[0]
        stored = database.execute("SELECT count(*) FROM vote").fetchone()[0]
        open(sys.argv[3] + ".count", "w").write(str(stored))
        if len(acknowledged) < 200: print("only", len(acknowledged), "votes")
        elif check != "ok": print(check)
        elif stored - before < len(acknowledged): print("lost", len(acknowledged) - stored + before)
        else: print("ok, nothing lost of", len(acknowledged))
        """

    /// A short version of `make bench-web`: nobody gets an error.
    @Test(.enabled(if: PythonPeer.has("asyncio"), "needs Python")) func aHundredReaders() throws {
        try TestPaths.withTemporaryFolder { folder in
            try serving(in: folder) { server in
                let script: URL = TestPaths.packageRoot.appendingPathComponent("Benchmarks/peers/web_readers.py")
                let report: String = try PythonPeer.runFile(
                    script, server.address, "100", "2", "/", "/?q=linear+layer", "/p/deltanet", "/results", "/feed.xml")
                let counts: [String: Any]? = try JSONSerialization.jsonObject(with: Data(report.utf8)) as? [String: Any]
                #expect(counts?["errors"] as? Int == 0 && counts?["requests"] as? Int ?? 0 >= 100, "\(report)")
            }
        }
    }

    @Test func pagesWithoutAServer() throws {
        try TestPaths.withTemporaryFolder { folder in
            let result: LinnetResult = try LinnetProcess.run("web", "--db", "papers.db", "--export", "site", in: folder)
            #expect(result.status == 0 && result.output.hasSuffix(" pages in site\n"))
            let page: String = try String(contentsOf: folder.appendingPathComponent("site/p/deltanet.html"), encoding: .utf8)
            #expect(page.contains("<h1>") && !page.contains("<form"))
        }
    }

    @Test func flagsThatDoNotFit() throws {
        try TestPaths.withTemporaryFolder { (folder: URL) throws in
            func complaint(_ flags: String...) throws -> String {
                return try LinnetProcess(["web", "--db", "papers.db"] + flags, in: folder).finish().badInput()
            }
            #expect(try complaint("--host", "0.0.0.0").contains("an access token is needed"))
            #expect(try complaint("--host", "0.0.0.0", "--access-token", "short").contains("at least 16"))
            #expect(try complaint("--port", "70000").contains("port is 70000"))
            #expect(try complaint("--jobs", "0").contains("--jobs has to be 1 to 64"))
            #expect(try complaint("--plotly", "missing.js").contains("missing.js cannot be read"))
            try Data(repeating: 7, count: 4096).write(to: folder.appendingPathComponent("junk.db"))
            #expect(try complaint("--db", "junk.db").contains("junk.db is not a catalogue"))
        }
    }
}
