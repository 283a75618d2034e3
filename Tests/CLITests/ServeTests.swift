import Foundation
import SequenceModels
import Serving
import TestSupport
import Testing
import Training

/// `linnet generate --serve` as a process, driven by clients that know nothing of Linnet.
@Suite(.timeLimit(.minutes(3))) struct ServeTests {
    private struct Server {
        let process: LinnetProcess
        let address: String
        let folder: URL
    }

    /// Runs `body` with a server of a small model; ends the server with SIGTERM, which it has to obey, unless `body` has ended it.
    private func serving(_ flags: [String], status: Int32 = 0, _ body: (Server) throws -> Void) throws {
        try TestPaths.withTemporaryFolder { folder in
            let tokenizer: ByteTokenizer = ByteTokenizer()
            let configuration: LanguageModelConfiguration = try LanguageModelConfiguration(
                vocabularySize: tokenizer.vocabularySize, dimensions: 16, layers: 1, mixer: MixerConfiguration(.gla, heads: 2))
            try LanguageModelBundle(model: LanguageModel(configuration), tokenizer: tokenizer)
                .save(to: folder.appendingPathComponent("tiny"))
            let process: LinnetProcess = try LinnetProcess(["generate", "--model", "tiny", "--serve", "--port", "0"] + flags, in: folder)
            defer { if process.process.isRunning { kill(process.process.processIdentifier, SIGKILL) } }
            try body(Server(process: process, address: try address(of: process), folder: folder))
            if status == 0 { process.process.terminate() }
            let result: LinnetResult = process.finish()
            #expect(result.status == status && result.errors.isEmpty, "\(result.errors)")
        }
    }

    /// The address that the server prints when it listens.
    private func address(of process: LinnetProcess) throws -> String {
        let limit: Date = Date().addingTimeInterval(30)
        while true {
            if let line = process.outputSoFar.split(separator: "\n").first, let start = line.range(of: "http://") {
                return String(line[start.lowerBound...].prefix { $0 != " " })
            }
            try #require(process.process.isRunning && Date() < limit, "the server did not start")
            usleep(10_000)
        }
    }

    @Test(.enabled(if: PythonPeer.has("openai"), "needs Python with openai")) func openAIsOwnClient() throws {
        try serving(["--api-key", "secret", "--model-name", "tiny-gla"]) { server in
            let report: String = try PythonPeer.run(Self.client, server.address)
            #expect(report == "complete\n")
        }
    }

    /// Each statement is a check; OpenAI's client parses the answers into its own types.
    private static let client: String = """
        import sys, openai
        client = openai.OpenAI(base_url=sys.argv[1], api_key="secret", max_retries=0, timeout=60)
        model = client.models.list().data[0].id
        assert model == "tiny-gla" and client.models.retrieve(model).owned_by == "linnet"
        plain = dict(model=model, prompt="To be", max_tokens=24, temperature=0)
        whole = client.completions.create(**plain)
        assert whole.choices[0].finish_reason == "length" and whole.usage.completion_tokens == 24, whole
        stream = list(client.completions.create(**plain, stream=True, stream_options={"include_usage": True}))
        assert "".join(c.choices[0].text for c in stream if c.choices) == whole.choices[0].text
        assert stream[-1].usage.total_tokens == whole.usage.total_tokens == 29
        many = client.completions.create(model=model, prompt=["a", "b"], n=2, seed=1, max_tokens=5, extra_body={"top_k": 5})
        assert [c.index for c in many.choices] == [0, 1, 2, 3]
        chat = dict(model=model, messages=[{"role": "user", "content": "Hello"}], max_completion_tokens=12, temperature=0)
        answer = client.chat.completions.create(**chat).choices[0].message
        pieces = [c.choices[0].delta.content or "" for c in client.chat.completions.create(**chat, stream=True)]
        assert answer.role == "assistant" and "".join(pieces) == answer.content
        scored = client.completions.create(**plain, logprobs=3).choices[0]
        assert scored.text == whole.choices[0].text and len(scored.logprobs.tokens) == 24, scored
        assert all(p == max(t.values()) for p, t in zip(scored.logprobs.token_logprobs, scored.logprobs.top_logprobs)), scored
        scored = client.chat.completions.create(**chat, logprobs=True, top_logprobs=4).choices[0]
        assert len(scored.logprobs.content) == 12 and all(len(t.top_logprobs) == 4 for t in scored.logprobs.content), scored
        pieces = client.chat.completions.create(**chat, logprobs=True, stream=True)
        assert sum(len(c.choices[0].logprobs.content) for c in pieces if c.choices[0].logprobs) == 12
        for error, call in [
            (openai.NotFoundError, lambda: client.completions.create(model="other", prompt="a")),
            (openai.BadRequestError, lambda: client.completions.create(model=model, prompt="a", max_tokens=10**9)),
            (openai.AuthenticationError, lambda: client.with_options(api_key="wrong").models.list()),
        ]:
            try:
                call()
            except error:
                continue
            sys.exit(f"no {error.__name__}")
        with client.completions.create(model=model, prompt="a", max_tokens=1000, stream=True) as unread:
            next(iter(unread))
        print("complete")
        """

    /// 200 clients at a time, twice: everybody gets a whole text or a refusal, and the second time needs no more memory.
    @Test(.enabled(if: PythonPeer.has("http"), "needs Python")) func twoHundredClients() throws {
        try serving(["--max-concurrent", "48", "--max-queue", "64"]) { server in
            let report: String = try PythonPeer.run(Self.load, server.address, String(server.process.process.processIdentifier))
            let wave: [[String: Double]] = try JSONDecoder().decode([[String: Double]].self, from: Data(report.utf8))
            for counts in wave {
                #expect(counts["lost"] == 0, "\(wave)")
                #expect((counts["whole"] ?? 0) + (counts["refused"] ?? 0) + (counts["left"] ?? 0) == 400)
                #expect(counts["whole"] ?? 0 >= 112 && counts["left"] ?? 0 > 0)
            }
            let (first, last): (Double, Double) = (try #require(wave[1]["resident"]), try #require(wave.last?["resident"]))
            #expect(last < first + 8e6, "\(first) to \(last) bytes")
        }
    }

    /// Prints for each of three waves (the first one warms up) what became of 400 requests by 200 clients, and the server's resident bytes.
    private static let load: String = """
        import sys, json, threading, http.client, urllib.parse, time
        place = urllib.parse.urlsplit(sys.argv[1]); counts = {}; lock = threading.Lock(); start = threading.Barrier(200)
        def count(name):
            with lock: counts[name] = counts.get(name, 0) + 1
        def ask(client, turn):
            connection = http.client.HTTPConnection(place.hostname, place.port, timeout=100)
            streams = client % 2 == 0
            body = {"prompt": "x" * (1 + client % 7), "max_tokens": 16, "stream": streams, "seed": client}
            if turn == 1 and client % 10 == 0: body["max_tokens"] = 1000
            connection.request("POST", place.path + "/completions", json.dumps(body))
            response = connection.getresponse()
            if response.status in (429, 503):
                assert "error" in json.loads(response.read()) and response.headers["Retry-After"]
                return count("refused")
            assert response.status == 200, response.status
            if body["max_tokens"] == 1000:
                response.read(10)
                connection.close()
                return count("left")
            text = response.read().decode()
            if streams: assert text.endswith("data: [DONE]\\n\\n") and '"finish_reason":"length"' in text
            else: assert json.loads(text)["usage"]["completion_tokens"] == 16
            connection.close()
            count("whole")
        def run(client):
            start.wait()
            for turn in range(2):
                try: ask(client, turn)
                except Exception as error: count("lost"); print(repr(error), file=sys.stderr)
        waves = []
        for wave in range(3):
            counts.clear(); counts.update(lost=0, whole=0, refused=0, left=0)
            threads = [threading.Thread(target=run, args=(client,)) for client in range(200)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            time.sleep(0.3)
            pages = int(open(f"/proc/{sys.argv[2]}/statm").read().split()[1])
            waves.append(dict(counts, resident=pages * 4096))
        print(json.dumps(waves))
        """

    @Test(.enabled(if: PythonPeer.has("http"), "needs Python")) func interruptsEndRunningTextsAfterTheGrace() throws {
        try serving(["--max-tokens", "1000000", "--grace", "0.5", "--max-concurrent", "1"], status: 130) { server in
            let client: Process = try PythonPeer.start(
                """
                import http.client, urllib.parse
                place = urllib.parse.urlsplit("\(server.address)")
                connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
                connection.request("POST", place.path + "/completions", '{"prompt": "a", "max_tokens": 1000000, "stream": true}')
                response = connection.getresponse()
                print(response.read(10), flush=True)
                print(response.read().decode()[-200:], flush=True)
                """)
            let output: FileHandle = try #require(client.standardOutput as? Pipe).fileHandleForReading
            #expect(!output.availableData.isEmpty)
            server.process.process.interrupt()
            let rest: String = String(decoding: output.readDataToEndOfFile(), as: UTF8.self)
            #expect(rest.contains(#""finish_reason":"shutdown""#) && rest.contains("[DONE]"), "\(rest)")
        }
    }

    @Test func aTakenPortIsSaid() throws {
        try serving([]) { server in
            let port: Int = try #require(URL(string: server.address)?.port)
            let second: LinnetResult = try LinnetProcess.run(
                "generate", "--model", "tiny", "--serve", "--port", String(port), in: server.folder)
            #expect(second.status == 2)
            #expect(second.complaint?.contains("cannot listen at 127.0.0.1:\(port)") == true, "\(second.errors)")
        }
    }

    /// The template that comes with the model is taken, and one that cannot be read stops the server.
    @Test func templatesOfTheModel() throws {
        try serving([]) { server in
            let file: URL = server.folder.appendingPathComponent("tiny/tokenizer_config.json")
            let fields: [String: Any] = [
                "chat_template": [["name": "default", "template": "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"]],
                "eos_token": ["content": "</s>"],
            ]
            try JSONSerialization.data(withJSONObject: fields).write(to: file)
            let folder: URL = server.folder.appendingPathComponent("tiny")
            let template: ChatTemplate = try #require(try ChatTemplate.ofModel(in: folder))
            #expect(try template.prompt([ChatMessage(role: "user", content: "a")]) == "a</s>" && template.stop == ["</s>"])
            try Data(#"{"chat_template": "{% include 'other' %}"}"#.utf8).write(to: file)
            let refused: LinnetResult = try LinnetProcess.run("generate", "--model", "tiny", "--serve", "--port", "0", in: server.folder)
            #expect(refused.status == 2 && refused.complaint?.contains("the statement 'include' is not known") == true, "\(refused.errors)")
            #expect(refused.complaint?.contains("tokenizer_config.json") == true)
        }
    }

    @Test func flagsThatDoNotFit() throws {
        try TestPaths.withTemporaryFolder { (folder: URL) throws in
            func complaint(_ flags: String...) throws -> String {
                return try LinnetProcess(["generate", "--model", "none"] + flags, in: folder).finish().badInput()
            }
            #expect(try complaint().contains("give a --prompt, or --serve"))
            #expect(try complaint("--serve", "--prompt", "a").contains("leave --prompt out"))
            #expect(try complaint("--serve", "--host", "0.0.0.0").contains("an API key is needed"))
            #expect(try complaint("--serve", "--port", "70000").contains("port is 70000"))
            #expect(try complaint("--serve", "--max-concurrent", "0").contains("maximumConcurrent is 0"))
            #expect(try complaint("--serve", "--chat-template", "missing.txt").contains("missing.txt"))
            #expect(try complaint("--serve").contains("config.json"))
        }
    }
}
