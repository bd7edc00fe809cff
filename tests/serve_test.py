"""karat serve, as its clients meet it."""
import concurrent.futures
import http.client
import json
import random
import re
import signal
import socket
import subprocess
import tempfile
import time

from support import KARAT, MODEL, TestCase, main

WORDS = "The captain said that the river was dark and the night had come over all of them".split()


class Server:
    """karat serve of the bundled model at a free port."""
    def __init__(self, *arguments):
        self.process = subprocess.Popen([KARAT, "serve", str(MODEL), "--port", "0", *arguments], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        self.port = int(re.fullmatch(r"karat-tiny at http://127\.0\.0\.1:(\d+)\n", line).group(1))

    def end(self):
        """Its exit code after SIGTERM."""
        if self.process.returncode is not None:
            return self.process.returncode
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            self.process.stdout.close()
            self.process.stderr.close()

    def open(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        connection.request(method, path, data, headers or {})
        return connection, connection.getresponse()

    def ask(self, method, path, body=None, headers=None):
        connection, response = self.open(method, path, body, headers)
        text = response.read().decode()
        connection.close()
        return response, json.loads(text) if response.getheader("Content-Type") == "application/json" else text

    def complete(self, prompt, **fields):
        response, answer = self.ask("POST", "/v1/completions", {"prompt": prompt, "temperature": 0, **fields})
        assert response.status == 200, answer
        return answer

    def stream(self, prompt, **fields):
        connection, response = self.open("POST", "/v1/completions",
                                         {"prompt": prompt, "temperature": 0, "stream": True, **fields})
        assert response.status == 200
        for line in response:
            if line.startswith(b"data: {"):
                yield json.loads(line[6:])
            elif line.startswith(b"data: "):
                yield line[6:].decode().strip()
        connection.close()

    def leave(self, prompt):
        """Asks for a long text and goes away."""
        body = json.dumps({"prompt": prompt, "max_tokens": 200, "stream": random.random() < 0.5})
        with socket.create_connection(("127.0.0.1", self.port)) as raw:
            raw.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            if random.random() < 0.5:
                raw.recv(20)


class Serve(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--parallel", "4", "--max-queue", "40", "--context", "256", "--kv", "f32")

    @classmethod
    def tearDownClass(cls):
        assert cls.server.end() == 0

    def test_paths(self):
        ask = self.server.ask
        self.assertEqual(ask("GET", "/health")[1], {"status": "ok"})
        self.assertEqual(ask("GET", "/v1/models")[1]["data"][0]["id"], "karat-tiny")
        ids = ask("POST", "/tokenize", {"content": "The captain"})[1]["tokens"]
        self.assertEqual(ids, self.run_json("tokenize", MODEL, "--text", "The captain")["ids"])
        self.assertRegex(ask("GET", "/metrics")[1], r"(?m)^karat_requests_total \d+$")
        for path, status in (("/nothing", 404), ("/v1/chat/completions", 501)):
            response, answer = ask("POST", path, {})
            self.assertEqual(response.status, status)
            self.assertIn("message", answer["error"])

    def test_a_text_is_what_run_writes(self):
        answer = self.server.complete("The captain", max_tokens=20)
        written = self.run_json("run", MODEL, "--prompt", "The captain", "--max-new", 20, "--temperature", 0,
                                "--kv", "f32")
        self.assertEqual(answer["choices"][0]["text"], written["text"])
        self.assertEqual(answer["choices"][0]["finish_reason"], "length")
        ids = self.server.ask("POST", "/tokenize", {"content": "The captain"})[1]["tokens"]
        self.assertEqual(answer["usage"], {"prompt_tokens": len(ids), "completion_tokens": 20,
                                           "total_tokens": len(ids) + 20})
        self.assertEqual(self.server.complete(ids, max_tokens=20)["choices"], answer["choices"])
        stop = written["text"][10:14]
        cut = self.server.complete("The captain", max_tokens=20, stop=stop)["choices"][0]
        self.assertEqual((cut["text"], cut["finish_reason"]), (written["text"].split(stop)[0], "stop"))

    def test_many_texts_and_streams(self):
        prompts = ["The captain", "It was a dark night"]
        whole = self.server.complete(prompts, n=2, max_tokens=12, echo=True)
        self.assertEqual([one["index"] for one in whole["choices"]], [0, 1, 2, 3])
        texts = ["", "", "", ""]
        events = list(self.server.stream(prompts, n=2, max_tokens=12, echo=True,
                                         stream_options={"include_usage": True}))
        self.assertEqual(events.pop(), "[DONE]")
        self.assertEqual(events.pop()["usage"], whole["usage"])
        for event in events:
            texts[event["choices"][0]["index"]] += event["choices"][0]["text"]
        self.assertEqual(texts, [one["text"] for one in whole["choices"]])
        self.assertTrue(texts[3].startswith("It was a dark night"))
        drawn = [self.server.complete("The captain", temperature=1, seed=3, n=2, max_tokens=12)["choices"] for _ in "ab"]
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0][0]["text"], drawn[0][1]["text"])
        bias = self.server.complete("The captain", max_tokens=3, logit_bias={"70": 100}, logprobs=0)["choices"][0]
        self.assertEqual(len(set(bias["logprobs"]["tokens"])), 1)

    def test_scores(self):
        ids = self.server.ask("POST", "/tokenize", {"content": "The captain said that"})[1]["tokens"]
        scores = {}
        for most in (0, 1):  # lm-eval asks for one token and leaves it out
            choice = self.server.complete([ids], max_tokens=most, echo=True, logprobs=1, seed=1234)["choices"][0]
            scores[most] = choice["logprobs"]
        count = len(ids)
        self.assertEqual([len(scores[1][key]) for key in scores[1]], [count + 1] * 4)
        self.assertEqual(scores[0]["token_logprobs"], scores[1]["token_logprobs"][:-1])
        self.assertIsNone(scores[0]["token_logprobs"][0])
        self.assertEqual(scores[1]["token_logprobs"][-1], max(scores[1]["top_logprobs"][-1].values()))
        # Each prefix alone predicts the next token as the echoed prompt says.
        for i in range(1, count):
            best = self.server.complete(ids[:i], max_tokens=1, logprobs=20)["choices"][0]["logprobs"]["top_logprobs"][0]
            known = best.get(scores[0]["tokens"][i])
            if known is not None:
                self.assertEqual(known, scores[0]["token_logprobs"][i])
        streamed = [event for event in self.server.stream([ids], max_tokens=1, echo=True, logprobs=1) if event != "[DONE]"]
        self.assertEqual(sum((one["choices"][0]["logprobs"]["token_logprobs"] for one in streamed), []),
                         scores[1]["token_logprobs"])

    def test_loglikelihoods_are_those_of_evaluate(self):
        (self.folder / "odd.json").write_text(json.dumps({
            "about": "letters", "kind": "choices", "file": "odd.jsonl", "metrics": ["acc"],
            "forms": [{"context": "{a}", "choices": ["{b}", "dark"], "gold": "0"}]}))
        (self.folder / "odd.jsonl").write_text('{"a": "The captain", "b": "said that"}\n')
        items = self.folder / "items"
        self.run_karat("evaluate", MODEL, "--tasks", self.folder / "odd.json", "--data", self.folder, "--items", items)
        right = json.loads(items.read_text().splitlines()[1])["loglikelihoods"]
        ids = [self.server.ask("POST", "/tokenize", {"content": text})[1]["tokens"]
               for text in ("The captain", "The captain said that", "The captain dark")]
        answer = self.server.complete(ids[1:], max_tokens=1, echo=True, logprobs=1)
        for choice, number in zip(answer["choices"], right):
            scores = choice["logprobs"]["token_logprobs"][len(ids[0]):-1]
            self.assertAlmostEqual(sum(scores), number, delta=abs(number) * 1e-5)

    def test_bad_bodies(self):
        good = {"prompt": "a"}
        for body, says in (("{", "body"), ("[]", "body"), ("[" * 100000, "body"), ({}, "prompt"),
                           (b"\xff\xfe", "body"), ({**good, "max_tokens": -1}, "max_tokens"),
                           ({**good, "max_tokens": 1e30}, "max_tokens"), ({**good, "n": True}, "n"),
                           ({**good, "n": 100000}, "n"), ({**good, "temperature": "hot"}, "temperature"),
                           ({**good, "top_p": 0}, "top_p"), ({**good, "stop": [1]}, "stop"),
                           ({**good, "logit_bias": {"-1": 1}}, "logit_bias"), ({"prompt": [-1]}, "prompt"),
                           ({"prompt": [10 ** 30]}, "prompt"), ({"prompt": [1, "a"]}, "prompt"),
                           ({"prompt": []}, "prompt"), ({"prompt": "dark night " * 300}, "context"),
                           ({"prompt": ["a"] * 200}, "prompt"), ({**good, "logprobs": 21}, "logprobs"),
                           ({**good, "no_such": 1}, "no_such"), ({**good, "suffix": "b"}, "suffix")):
            response, answer = self.server.ask("POST", "/v1/completions", body)
            self.assertEqual((response.status, answer["error"]["type"]), (400, "invalid_request_error"), body)
            self.assertIn(says, answer["error"]["message"])
        response, answer = self.server.ask("POST", "/v1/completions", b"a" * (9 << 20))
        self.assertEqual(response.status, 413)

    def test_each_answer_is_its_own_among_others(self):
        random.seed(1)
        prompts = [" ".join(random.sample(WORDS, random.randint(1, 12))) for _ in range(12)]
        alone = {prompt: self.server.complete(prompt, max_tokens=24)["choices"][0]["text"] for prompt in prompts}

        def client(number):
            prompt = prompts[number % len(prompts)]
            if number % 4 == 0:
                self.server.leave(prompt)
            elif number % 4 == 1:
                self.server.ask("POST", "/v1/completions", '{"prompt": ')
            streamed = [event for event in self.server.stream(prompt, max_tokens=24) if event != "[DONE]"]
            return prompt, "".join(event["choices"][0]["text"] for event in streamed)

        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            for prompt, text in pool.map(client, range(36)):
                self.assertEqual(text, alone[prompt])


TEMPLATE = """{{ bos_token }}{% for message in messages %}{% if message.role not in ('user', 'assistant') %}
{{- raise_exception('no such role') }}{% endif %}{{ message.role }}: {{ message.content }}
{% endfor %}{% if tools %}{{ tools | length }} tools
{% endif %}{% if add_generation_prompt %}assistant:{% endif %}"""


class Chat(TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.NamedTemporaryFile("w", suffix=".jinja") as file:
            file.write(TEMPLATE)
            file.flush()
            cls.server = Server("--context", "256", "--template", file.name)

    @classmethod
    def tearDownClass(cls):
        assert cls.server.end() == 0

    def chat(self, messages, **fields):
        return self.server.ask("POST", "/v1/chat/completions", {"messages": messages, "temperature": 0, **fields})

    def test_a_message_continues_the_rendered_conversation(self):
        messages = [{"role": "user", "content": "The captain"}, {"role": "assistant", "content": "He was"},
                    {"role": "user", "content": [{"type": "text", "text": "Go "}, {"type": "text", "text": "on"}]}]
        bos = json.loads((MODEL / "tokenizer_config.json").read_text()).get("bos_token") or ""
        prompt = f"{bos}user: The captain\nassistant: He was\nuser: Go on\nassistant:"
        ids = self.server.ask("POST", "/tokenize", {"content": prompt, "add_special": False})[1]["tokens"]
        text = self.server.complete(ids, max_tokens=12)["choices"][0]["text"]
        response, answer = self.chat(messages, max_tokens=12, logprobs=True, top_logprobs=2)
        self.assertEqual((response.status, answer["object"]), (200, "chat.completion"), answer)
        choice = answer["choices"][0]
        self.assertEqual((choice["message"], choice["finish_reason"]), ({"role": "assistant", "content": text}, "length"))
        tokens = choice["logprobs"]["content"]
        self.assertEqual((len(tokens), "".join(one["token"] for one in tokens)), (12, text))
        self.assertEqual([len(one["top_logprobs"]) for one in tokens], [2] * 12)
        self.assertEqual(tokens[0]["logprob"], tokens[0]["top_logprobs"][0]["logprob"])  # the likeliest was drawn
        body = {"messages": messages, "temperature": 0, "max_completion_tokens": 12, "stream": True}
        connection, response = self.server.open("POST", "/v1/chat/completions", body)
        events = [json.loads(line[6:]) for line in response if line.startswith(b"data: {")]
        connection.close()
        deltas = [event["choices"][0]["delta"] for event in events]
        self.assertEqual([one.pop("role", None) for one in deltas], ["assistant"] + [None] * (len(deltas) - 1))
        self.assertEqual("".join(one["content"] for one in deltas), text)
        self.assertEqual({event["object"] for event in events}, {"chat.completion.chunk"})
        tools = self.chat(messages, max_tokens=1, tools=[{"type": "function"}])[1]["usage"]["prompt_tokens"]
        self.assertGreater(tools, answer["usage"]["prompt_tokens"])
        self.assertGreater(self.chat(messages[:1])[1]["usage"]["completion_tokens"], 100)  # as long as there is room

    def test_bad_conversations(self):
        good = [{"role": "user", "content": "a"}]
        for messages, fields, says in ((None, {}, "messages"), ([], {}, "messages"), (["a"], {}, "role"),
                                       ([{"role": "nobody", "content": "a"}], {}, "no such role"),
                                       ([{"role": "user", "content": [{"type": "image_url"}]}], {}, "parts"),
                                       (good, {"echo": True}, "echo"), (good, {"top_logprobs": 2}, "logprobs"),
                                       (good, {"tool_choice": "required"}, "tool_choice"),
                                       ([{"role": "user", "content": "dark night " * 300}], {}, "context")):
            response, answer = self.chat(messages, **fields)
            self.assertEqual((response.status, answer["error"]["type"]), (400, "invalid_request_error"), answer)
            self.assertIn(says, answer["error"]["message"])


class Limits(TestCase):
    def serve(self, *arguments):
        server = Server(*arguments)
        self.addCleanup(server.end)
        return server

    def test_who_leaves_is_noticed(self):
        server = self.serve("--context", "256")  # of its own: nobody else leaves it

        def cancelled():
            return int(re.search(r"(?m)^karat_texts_cancelled_total (\d+)$", server.ask("GET", "/metrics")[1]).group(1))
        self.assertEqual(cancelled(), 0)
        body = json.dumps({"prompt": "The captain", "max_tokens": 240, "n": 60})
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        for _ in range(200):
            if cancelled() > 0:
                return
            time.sleep(0.1)
        self.fail("60 texts are written for nobody")

    def test_queue_and_end(self):
        server = self.serve("--parallel", "1", "--max-queue", "0", "--context", "200")
        running = server.stream("The captain", max_tokens=180)
        first = next(running)
        response, answer = server.ask("POST", "/v1/completions", {"prompt": "a"})
        self.assertEqual((response.status, response.getheader("Retry-After")), (429, "1"))
        self.assertEqual(answer["error"]["type"], "rate_limit_error")
        server.process.send_signal(signal.SIGTERM)
        events = [first, *running]
        self.assertEqual(events[-1], "[DONE]")
        self.assertEqual(events[-2]["choices"][0]["finish_reason"], "length")
        self.assertEqual(server.end(), 0)

    def test_key_and_time(self):
        key = self.folder / "key"
        key.write_text("secret\n")
        server = self.serve("--api-key-file", str(key), "--max-seconds", "0.1")
        for headers, status in (({}, 401), ({"Authorization": "Bearer secre"}, 401),
                                ({"Authorization": "Bearer secret"}, 200)):
            self.assertEqual(server.ask("GET", "/v1/models", headers=headers)[0].status, status)
        answer = server.ask("POST", "/v1/completions", {"prompt": "a", "max_tokens": 500, "n": 90},
                            {"Authorization": "Bearer secret"})[1]
        self.assertTrue(all(one["finish_reason"] for one in answer["choices"]))
        self.assertLess(answer["usage"]["completion_tokens"], 90 * 500)
        self.assertEqual(server.end(), 0)

    def test_refused_at_once(self):
        self.assert_refused("serve", MODEL, "--context", "100000000", says="context")
        (self.folder / "empty").write_text("")
        self.assert_refused("serve", MODEL, "--api-key-file", self.folder / "empty", says="api-key-file")
        server = self.serve()
        self.assert_refused("serve", MODEL, "--port", server.port, says="cannot be had")
        self.assertEqual(server.end(), 0)


if __name__ == "__main__":
    main()
