"""The command as installed: no LibTorch, quick to start, help that teaches."""
import json
import os
import platform
import subprocess

from support import EVALUATION, KARAT, MODEL, TestCase, karat, main


class Runtime(TestCase):
    def test_karat_does_not_load_libtorch(self):
        lines = subprocess.run(["ldd", KARAT], capture_output=True, text=True, check=True).stdout.splitlines()
        libraries = " ".join(line.split()[0] for line in lines)  # not their addresses: one may hold "c10"
        self.assertIn("libc.so", libraries)
        for forbidden in ("torch", "c10", "blas", "gomp", "protobuf"):
            self.assertNotIn(forbidden, libraries)

    def test_run_starts_with_little_work(self):
        """Counted in pages touched, which no neighbour changes: some 1,200, and 34,000 with LibTorch."""
        command = [KARAT, "run", str(MODEL), "--prompt", "The", "--max-new", "1", "--temperature", "0"]
        silence = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
        process = os.posix_spawn(KARAT, command, os.environ, file_actions=silence)
        _, status, used = os.wait4(process, 0)
        self.assertEqual(status, 0)
        self.assertLess(used.ru_minflt + used.ru_majflt, 4000)

    def test_help_lists_every_verb_and_teaches(self):
        text = self.run_karat("--help")
        for verb in ("quantize", "measure", "methods", "train", "run", "bench", "evaluate", "inspect", "compare",
                     "report", "tokenize", "pack"):
            self.assertIn(verb, text)
            verb_help = self.run_karat(verb, "--help")
            self.assertEqual("--threads" in verb_help, verb not in ("methods", "inspect", "report", "tokenize"), verb)
            self.assertGreater(len(verb_help.split()), 20, f"{verb} --help is terse")
            self.assertIn(f"  {verb:<9} {verb_help.splitlines()[0]}\n", text)

    def test_unknown_verb_and_option_exit_2(self):
        self.assertEqual(karat("quantise", MODEL).returncode, 2)
        self.assertEqual(karat("run", MODEL, "--no-such-option").returncode, 2)

    def test_same_seed_same_text(self):
        def sample(seed):
            return self.run_karat("run", MODEL, "--prompt", "The old man", "--max-new", 40, "--seed", seed,
                                  "--temperature", 1)
        self.assertEqual(sample(1), sample(1))
        self.assertNotEqual(sample(1), sample(2))

    def test_text_ends_before_a_stop_text(self):
        arguments = ("run", MODEL, "--prompt", "The old man", "--max-new", 40, "--temperature", 0)
        full = self.run_json(*arguments)
        self.assertEqual(full["stop"], "length")
        self.assertNotIn("stop_text", full)
        stop = full["text"][11:16]
        cut = self.run_json(*arguments, "--stop", "no such text", "--stop", stop)
        self.assertEqual((cut["stop"], cut["stop_text"]), ("text", stop))
        self.assertEqual(cut["text"], full["text"].split(stop)[0])
        self.assertLess(cut["decode_tokens"], full["decode_tokens"])
        self.assertEqual(self.run_karat(*arguments, "--stop", stop), "The old man" + cut["text"] + "\n")

    def test_bench_measures_and_compares(self):
        report = self.run_json("bench", MODEL, "--prompt", 32, "--context", "16,64", "--decode", 4, "--repeats", 2)
        for decode in report["decode"]:  # counted, or said once why not
            self.assertEqual("uncounted" in report, "cycles_per_weight" not in decode)
            self.assertGreater(decode.get("instructions_per_weight", 1), 0)
        self.assertEqual([row["context"] for row in report["decode"]], [16, 64])
        self.assertEqual(report["mapped_bytes"], (MODEL / "model.safetensors").stat().st_size)
        for value in (report["read_gigabytes_per_second"], report["load_seconds"], report["private_bytes"],
                      report["prefill"]["tokens_per_second"], report["decode"][0]["share_of_bandwidth"]):
            self.assertGreater(value, 0)
        before = self.folder / "before.json"
        before.write_text(json.dumps({**report, "decode": [{**report["decode"][0], "tokens_per_second": 1e-3}]}))
        again = self.run_json("bench", MODEL, "--prompt", 0, "--context", 16, "--decode", 4, "--baseline", before)
        self.assertEqual(list(again["ratios"]), ["decode at 16"])
        self.assertGreater(again["ratios"]["decode at 16"], 100)

    def test_bench_and_run_refuse_what_they_cannot_do(self):
        (self.folder / "no.json").write_text("{}")
        foreign = "avx2" if platform.machine() == "aarch64" else "neon"
        for arguments, says in ((("--isa", "avx9"), "one of reference"), (("--isa", foreign), "this CPU can run"),
                                (("--kv", "q4"), "f32, f16 or q8"), (("--activations", "q9"), "f32 or q8")):
            self.assert_refused("run", MODEL, "--prompt", "x", *arguments, says=says)
            self.assert_refused("bench", MODEL, *arguments, says=says)
        self.assert_refused("bench", MODEL, "--context", 100_000, says="contexts that are all longer")
        self.assert_refused("bench", MODEL, "--context", 8, "--decode", 2, "--prompt", 0, "--repeats", 1, "--baseline",
                            self.folder / "no.json", says="karat bench --json printed")

    def test_a_wrong_set_in_the_environment_is_refused(self):
        done = karat("run", MODEL, "--prompt", "x", env={**os.environ, "KARAT_ISA": "avx9"})
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn('got "avx9", expected one of reference', done.stderr)

    def test_the_environment_chooses_kernels_and_activations(self):
        def bench(**variables):
            done = karat("bench", MODEL, "--prompt", 0, "--context", 8, "--decode", 1, "--repeats", 1, "--json",
                         env={**os.environ, **variables})
            return json.loads(done.stdout)
        self.assertEqual(bench(KARAT_ISA="reference")["isa"], "reference")
        done = karat("evaluate", MODEL, "--text", EVALUATION, "--limit", 1, "--json",
                     env={**os.environ, "KARAT_ACTIVATIONS": "q8"})
        self.assertEqual(json.loads(done.stdout)["activations"], "q8")

    def test_every_way_of_running_writes_text(self):
        sets = karat("run", MODEL, "--prompt", "x", "--isa", "?").stderr.split("one of ")[1].split(";")[0].split(", ")
        self.assertEqual(sets[0], "reference")
        for arguments in (*(("--isa", one) for one in sets), ("--kv", "f32"), ("--kv", "q8"), ("--activations", "f32")):
            text = self.run_karat("run", MODEL, "--prompt", "The", "--max-new", 8, "--temperature", 0, *arguments)
            self.assertGreater(len(text), 8)

    def test_greedy_text_does_not_depend_on_threads(self):
        def greedy(threads):
            return self.run_karat("run", MODEL, "--prompt", "The old man", "--max-new", 60,
                                  "--temperature", 0, "--threads", threads)
        self.assertEqual(greedy(1), greedy(2))


if __name__ == "__main__":
    main()
