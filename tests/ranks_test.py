"""Several processes that share one computation, started as torchrun starts them, and what becomes of it when one dies."""
import json
import os
import signal
import socket
import subprocess
import time

from support import CALIBRATION, EVALUATION, KARAT, MODEL, TestCase, files_of, main

WITHOUT = "a build without Gloo"


class Ranks(TestCase):
    def setUp(self):
        super().setUp()
        config = json.loads((MODEL / "config.json").read_text())
        self.config = self.folder / "config.json"
        self.config.write_text(json.dumps(config | {"hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 2,
                                                    "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16}))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self, size, *arguments, of_last=()):
        """A process a rank, the last one with more arguments."""
        where = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self.port)}
        more = [()] * (size - 1) + [of_last]
        return [subprocess.Popen([KARAT, *map(str, [*arguments, *more[rank]])],
                                 env=os.environ | where | {"RANK": str(rank)}, text=True, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE) for rank in range(size)]

    def finish(self, processes):
        """(exit code, what it printed, its line of error) of each."""
        done = []
        for process in processes:
            out, error = process.communicate(timeout=300)
            if WITHOUT in error:
                self.skipTest(WITHOUT)
            done.append((process.returncode, out, [line for line in error.splitlines() if line.startswith("karat: ")]))
        return done

    def train(self, out, *more):
        return ["train", self.config, "--tokenizer", MODEL, "--data", CALIBRATION, "--validation", EVALUATION,
                "--out", self.folder / out, "--batch", 4, "--micro-batch", 1, "--sequence", 32, "--warmup", 2,
                "--validation-sequences", 3, "--steps", 30, "--checkpoint-every", 4, "--threads", 1, *more]

    def test_the_same_bytes_as_one_and_one_table(self):
        self.run_karat(*self.train("alone"))
        done = self.finish(self.start(2, *self.train("shared")))
        self.assertEqual([code for code, _, _ in done], [0, 0], done)
        self.assertIn("validation", done[0][1])
        self.assertEqual(done[1][1], "")
        self.assertEqual((self.folder / "alone/model.safetensors").read_bytes(),
                         (self.folder / "shared/model.safetensors").read_bytes())
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["alone", "config.json", "shared"])

    def test_a_killed_rank_stops_the_others_and_the_work_goes_on(self):
        self.run_karat(*self.train("alone"))
        processes = self.start(2, *self.train("shared"))
        while not (self.folder / "shared.work/checkpoint.safetensors").exists():
            self.assertTrue(all(process.poll() is None for process in processes))
            time.sleep(0.01)
        processes[1].send_signal(signal.SIGKILL)
        killed = time.monotonic()
        code, _, error = self.finish(processes)[0]
        self.assertLess(time.monotonic() - killed, 60)
        self.assertEqual(code, 2)
        self.assertEqual(len(error), 1)
        self.assertRegex(error[0], "^karat: ranks: got .*lost.*, expected .*; .*the same command")
        self.assertFalse((self.folder / "shared").exists())
        done = self.finish(self.start(2, *self.train("shared", "--resume")))
        self.assertEqual([code for code, _, _ in done], [0, 0], done)
        self.assertEqual(files_of(self.folder / "alone")["model.safetensors"],
                         files_of(self.folder / "shared")["model.safetensors"])

    def test_an_error_of_one_is_told_by_all(self):
        for code, _, error in self.finish(self.start(2, *self.train("shared"), of_last=["--lr", "0.5"])):
            self.assertEqual(code, 2)
            self.assertIn("another training on rank 1 than on rank 0", error[0])

    def test_an_environment_that_says_too_little(self):
        for where, says in (({"WORLD_SIZE": "2"}, "RANK"), ({"WORLD_SIZE": "two", "RANK": "0"}, "WORLD_SIZE"),
                            ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK"),
                            ({"WORLD_SIZE": "2", "RANK": "1", "MASTER_PORT": "1"}, "MASTER_ADDR")):
            done = subprocess.run([KARAT, *map(str, self.train("shared"))], env=os.environ | where, text=True,
                                  capture_output=True, timeout=60)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stderr, f"^karat: ranks: {says}: got .*, expected ")


if __name__ == "__main__":
    main()
