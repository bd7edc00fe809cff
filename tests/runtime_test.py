"""The command as installed: no LibTorch, quick to start, help that teaches."""
import statistics
import subprocess
import time
import unittest

from support import KARAT, MODEL, TestCase, karat


class Runtime(TestCase):
    def test_karat_does_not_load_libtorch(self):
        libraries = subprocess.run(["ldd", KARAT], capture_output=True, text=True, check=True).stdout
        self.assertIn("libc.so", libraries)
        for forbidden in ("torch", "c10", "blas", "gomp", "protobuf"):
            self.assertNotIn(forbidden, libraries)

    def test_run_starts_in_50_ms(self):
        def seconds():
            start = time.monotonic()
            self.run_karat("run", MODEL, "--prompt", "The", "--max-new", 1, "--temperature", 0)
            return time.monotonic() - start
        seconds()  # files into the page cache
        self.assertLess(statistics.median(seconds() for _ in range(9)), 0.050)

    def test_help_lists_every_verb_and_teaches(self):
        text = self.run_karat("--help")
        for verb in ("quantize", "measure", "methods", "train", "run", "evaluate", "inspect"):
            self.assertIn(verb, text)
            verb_help = self.run_karat(verb, "--help")
            self.assertIn("--threads", verb_help)
            self.assertGreater(len(verb_help.split()), 40, f"{verb} --help is terse")

    def test_unknown_verb_and_option_exit_2(self):
        self.assertEqual(karat("quantise", MODEL).returncode, 2)
        self.assertEqual(karat("run", MODEL, "--no-such-option").returncode, 2)

    def test_same_seed_same_text(self):
        def sample(seed):
            return self.run_karat("run", MODEL, "--prompt", "The old man", "--max-new", 40, "--seed", seed,
                                  "--temperature", 1)
        self.assertEqual(sample(1), sample(1))
        self.assertNotEqual(sample(1), sample(2))

    def test_greedy_text_does_not_depend_on_threads(self):
        def greedy(threads):
            return self.run_karat("run", MODEL, "--prompt", "The old man", "--max-new", 60,
                                  "--temperature", 0, "--threads", threads)
        self.assertEqual(greedy(1), greedy(2))


if __name__ == "__main__":
    unittest.main()
